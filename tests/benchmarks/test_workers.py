"""Two workers on one database, one spool and one folder of results: how much more they do than one."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.demo.pacs import Pacs
from app.settings import Database
from app.workflow_database import beats_of, open_engine
from tests.integration.workflow.conftest import Installation, database_url, installation, pacs, postgres  # noqa: F401
from tests.integration.workflow.test_recovery import running
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

STUDIES = 40
LEAST_GAIN = 1.6
WORK = "[image.new_ones(512, 512) @ image.new_ones(512, 512) for _ in range(60)]"
"""In the place of the network's pause: about half a second of one core."""

pytestmark = [pytest.mark.bench, pytest.mark.debian, pytest.mark.timeout(900)]


def studies_per_second(house: Installation, workers: int) -> float:
    """Between the first and the last tenth, all sent once every worker beats."""
    with ExitStack() as stack:
        for number in range(workers):
            house.overrides["worker"] = {"id": f"worker-{workers}-{number}", "heartbeat_s": 1, "takeover_s": 60}
            settings = house.write_settings(f"{workers}-{number}.yaml")
            stack.enter_context(running(house.start_process(settings)))
        wait_for_beats(house, workers)
        before = {each.key for each in house.outcomes()}
        for _ in range(STUDIES):
            send_to_spool(house.spool(), ct_slices(slices=2))
        found = house.wait(
            lambda known: sum(each.finished_at is not None for each in known) == len(before) + STUDIES, 600
        )
    ends = sorted(each.finished_at for each in found if each.key not in before and each.finished_at)
    tenth = len(ends) // 10
    return (len(ends) - 2 * tenth - 1) / (ends[-tenth - 1] - ends[tenth])


def wait_for_beats(house: Installation, workers: int) -> None:
    engine, deadline = open_engine(Database(url=house.database_url)), time.monotonic() + 180
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM vigil_workers"))
    while len(beats_of(engine)) < workers:
        assert time.monotonic() < deadline, "the workers do not start"
        time.sleep(0.5)
    time.sleep(5)  # from the first beat to the first look at the spool
    engine.dispose()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: nothing to gain")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_workers_do_more_than_one(installation: Installation, pacs: Pacs, tmp_path: Path) -> None:  # noqa: F811
    script = write_bundle(installation.folder / "bundles", "busy") / "scripts" / "mean.py"
    script.write_text(script.read_text().replace("time.sleep(self.delay_s)", WORK))
    installation.overrides["bundles"] = {"enabled": ["busy"]}
    one = studies_per_second(installation, 1)
    two = studies_per_second(installation, 2)
    load = os.getloadavg()[0]
    print(f"\none worker {one:.2f}, two {two:.2f} studies a second: {two / one:.2f} times (load {load:.1f})")
    assert len(pacs.arrived) == 2 * STUDIES
    assert two / one >= LEAST_GAIN
