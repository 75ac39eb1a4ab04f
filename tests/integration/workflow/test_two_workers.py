"""Several workers on one database, one spool and one folder of results: everything is done once, by either of them."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.demo.pacs import Pacs
from app.outcomes import State, StudyOutcome
from app.settings import Database, Settings
from app.workflow_database import Heartbeat, beats_of, open_engine
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.test_recovery import running, wait_for_lines
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

MANY = 1000
AT_SQLITE = 60
LATE = 200
"""Studies that come while both work, in front of two watchers that look at the same instant; the rest lies there."""


def settings_of(installation: Installation, worker: str, **changes: object) -> Path:
    installation.overrides["worker"] = {"id": worker, "heartbeat_s": 1, "takeover_s": 60, **changes}
    return installation.write_settings(f"{worker}.yaml")


@contextmanager
def two_workers(installation: Installation, **changes: object) -> Iterator[list["subprocess.Popen[bytes]"]]:
    with ExitStack() as stack:
        files = [settings_of(installation, name, **changes) for name in ("first", "second")]
        yield [stack.enter_context(running(installation.start_process(file))) for file in files]


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = open_engine(Database(url=url))
    schema = "" if engine.dialect.name == "sqlite" else "dbos."
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(sa.text(query.format(schema=schema)))]
    engine.dispose()
    return found


def finished(installation: Installation) -> int:
    """Cheaply: reading a thousand outcomes again and again would take the time of the workers."""
    end = "SELECT count(*) FROM {schema}workflow_status WHERE name = 'deliver_document' AND status = 'SUCCESS'"
    return int(str(rows(installation.database_url, end)[0][0]))


def wait_for(installation: Installation, studies: int, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while finished(installation) < studies:
        assert time.monotonic() < deadline, f"{finished(installation)} of {studies} studies are delivered"
        time.sleep(0.5)


def all_outcomes(installation: Installation) -> list[StudyOutcome]:
    from app import outcomes

    return outcomes.studies(installation.settings, limit=10 * MANY)


def sends_itself(installation: Installation, studies: int) -> None:
    def send(_: int) -> None:
        send_to_spool(installation.spool(), ct_slices(slices=2))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(studies)))


def holds(installation: Installation, pacs: Pacs, studies: int) -> None:
    """Every study has one SR at the PACS, sent once, and each step of each workflow was done by one worker."""
    found = all_outcomes(installation)
    assert Counter(each.state for each in found) == {State.DELIVERED: studies}
    wanted = Counter(
        document.sop_instance_uid for each in found for document in each.documents if document.kind == "sr"
    )
    assert Counter(each.sop_instance_uid for each in pacs.arrived) == wanted
    assert len(wanted) == studies
    names = dict(rows(installation.database_url, "SELECT name, count(*) FROM {schema}workflow_status GROUP BY name"))
    assert names == dict.fromkeys(("process_study", "analyse", "publish", "deliver_document"), studies)
    assert {receipt.attempts for each in found for receipt in each.receipts} == {1}
    assert {len(each.begun) for each in found} == {1}


def shares(installation: Installation) -> dict[str, int]:
    query = "SELECT executor_id, count(*) FROM {schema}workflow_status WHERE name = 'analyse' GROUP BY executor_id"
    return {str(worker): int(str(number)) for worker, number in rows(installation.database_url, query)}


@pytest.mark.debian
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_thousand_studies_are_each_done_once_by_either_of_two_workers(installation: Installation, pacs: Pacs) -> None:
    begun = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "counted", begun=begun)
    installation.overrides["bundles"] = {"enabled": ["counted"]}
    sends_itself(installation, MANY - LATE)
    with two_workers(installation):
        sends_itself(installation, LATE)
        wait_for(installation, MANY, 1200)
    holds(installation, pacs, MANY)
    assert len(begun.read_text().splitlines()) == MANY
    both = shares(installation)
    assert sorted(both) == ["first", "second"]
    assert min(both.values()) > MANY // 4, both


@pytest.mark.timeout(900)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_too_two_workers_do_nothing_twice(installation: Installation, pacs: Pacs) -> None:
    with two_workers(installation):
        sends_itself(installation, AT_SQLITE)
        wait_for(installation, AT_SQLITE, 600)
    holds(installation, pacs, AT_SQLITE)


@pytest.mark.timeout(900)
def test_a_worker_that_is_removed_for_good_leaves_nothing_undone(installation: Installation, pacs: Pacs) -> None:
    begun = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "slow", delay_s=1.5, begun=begun)
    installation.overrides["bundles"] = {"enabled": ["slow"]}
    removed = settings_of(installation, "removed", takeover_s=3)
    with running(installation.start_process(removed)) as first:
        sends_itself(installation, 3)
        wait_for_lines(begun, 1)
        with running(installation.start_process(settings_of(installation, "staying", takeover_s=3))):
            os.kill(first.pid, signal.SIGKILL)
            killed_at = time.monotonic()
            found = installation.wait_final(3)
            took_s = time.monotonic() - killed_at
            installation.wait(lambda _: set(beats(installation)) == {"staying"}, 120)
    assert [each.state for each in found] == [State.DELIVERED] * 3
    assert len({each.sop_instance_uid for each in pacs.arrived}) == len(pacs.arrived) == 3
    assert took_s < 60


def beats(installation: Installation) -> dict[str, int]:
    engine = open_engine(Database(url=installation.database_url))
    found = dict(beats_of(engine))
    engine.dispose()
    return found


def test_by_default_a_dead_worker_is_missed_within_a_minute() -> None:
    """The observer has seen its last beat at most one of its own beats late, and looks once in a beat."""
    worker = Settings().worker
    assert worker.takeover_s + 2 * worker.heartbeat_s + 2 < 60


def test_work_of_a_worker_that_nobody_knows_is_missed_too(installation: Installation, pacs: Pacs) -> None:
    """It died before its first beat, or after it had been forgotten."""
    engine = open_engine(Database(url=installation.database_url))
    observer = Heartbeat(engine, "observer", 0.2)
    observer.beat()
    observer.watch_over(["observer", "nobody"])
    observer.watch_over(["nobody"])
    assert beats_of(engine) == {"observer": 1, "nobody": 0}
    assert observer.claim_dead() == ()
    time.sleep(0.2)
    assert observer.claim_dead() == ("nobody",)
    engine.dispose()
