"""What is to be read early goes before others where deliveries have to wait, and is counted without a name."""

import sqlite3
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.demo.pacs import Pacs
from app.outcomes import State
from tests.integration.workflow.conftest import Installation, free_port
from tests.integration.workflow.tiny import send_to_spool
from tests.integration.workflow.tiny_images import LESION, PNEUMOTHORAX, radiograph, write_image_bundle

pytestmark = pytest.mark.timeout(240)
WAITING = "select workflow_uuid, priority from workflow_status where queue_name = 'redelivery'"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/workflow.sqlite"


def waiting(database: Path, studies: int) -> dict[str, int]:
    """Priority of what waits for a destination, by the key of the study, once as many studies do."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        connection = sqlite3.connect(database)
        try:
            found = {name.partition("/")[0]: priority for name, priority in connection.execute(WAITING)}
        except sqlite3.OperationalError:
            found = {}
        finally:
            connection.close()
        if len(found) == studies:
            return found
        time.sleep(0.2)
    raise AssertionError(f"fewer than {studies} studies wait for the destination")


def counted() -> float:
    return REGISTRY.get_sample_value("vigil_early_reading_total", {"bundle": "bright"}) or 0.0


def noticed() -> tuple[float, float]:
    """How many urgent reports were noticed, and the seconds of all of them."""
    return tuple(REGISTRY.get_sample_value(f"vigil_urgent_notice_seconds_{each}") or 0.0 for each in ("count", "sum"))


def test_a_report_to_be_read_early_goes_first_where_deliveries_wait(installation: Installation, tmp_path: Path) -> None:
    write_image_bundle(installation.folder / "bundles")
    port, before, (notices, seconds) = free_port(), counted(), noticed()
    installation.destination(Pacs(tmp_path / "pacs", port=port), port=port, attempts=100, backoff_s=0.5)
    for share, study in ((LESION, "1.2.3"), (PNEUMOTHORAX, "1.2.4")):
        send_to_spool(installation.spool(), [radiograph(share, study=study, series=f"{study}.1")])
    with installation.worker():
        found = waiting(tmp_path / "workflow.sqlite", studies=2)
        with Pacs(tmp_path / "pacs", port=port) as peer:
            outcomes = installation.wait_final(2)
    urgent = {outcome.key: any(report.urgent for report in outcome.reports) for outcome in outcomes}
    assert sorted(urgent.values()) == [False, True]
    assert found == {key: 1 if first else 2 for key, first in urgent.items()}
    assert (len(peer.arrived), {outcome.state for outcome in outcomes}) == (2, {State.DELIVERED})
    assert counted() == before + 1
    after, spent = noticed()
    (first,) = (outcome for outcome in outcomes if urgent[outcome.key])
    assert after == notices + 1
    assert 0 < spent - seconds <= (first.seconds or 0)
