"""Late images: the revisions of a study reach the PACS in order, also after a kill and past a dead destination."""

import os
import signal
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from app.demo.pacs import Pacs
from app.errors import Rejected
from app.findings import Presence
from app.outcomes import State, StudyOutcome
from app.revisions import relation
from app.workflow import replay
from tests.integration.workflow.conftest import Installation, free_port
from tests.integration.workflow.test_recovery import running, wait_for_lines
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

pytestmark = pytest.mark.timeout(240)


def sr_uid(outcome: StudyOutcome) -> str:
    (uid,) = (document.sop_instance_uid for document in outcome.documents if document.kind == "sr")
    return uid


def by_images(found: list[StudyOutcome]) -> list[StudyOutcome]:
    return sorted(found, key=lambda each: len(each.files))


def test_a_revision_whose_worker_died_does_not_follow_the_newer_one(installation: Installation, pacs: Pacs) -> None:
    begun = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "slow", delay_s=1, begun=begun)
    installation.overrides["bundles"] = {"enabled": ["slow"]}
    slices = ct_slices(slices=6)
    send_to_spool(installation.spool(), slices[:5])
    settings = []
    for name in ("first", "second"):
        installation.overrides["worker"] = {"id": name, "heartbeat_s": 0.5, "takeover_s": 600}
        settings.append(installation.write_settings(f"{name}.yaml"))
    with running(installation.start_process(settings[0])) as first:
        wait_for_lines(begun, 1)
        os.kill(first.pid, signal.SIGKILL)
    send_to_spool(installation.spool(), slices[5:])
    with running(installation.start_process(settings[1])):
        found = installation.wait(lambda found: any(each.state is State.DELIVERED for each in found))
    assert [each.state for each in by_images(found)] == [State.PROCESSING, State.DELIVERED]
    with running(installation.start_process(settings[0])):
        older, newer = by_images(installation.wait_final(2))
    assert (older.state, newer.state) == (State.SUPERSEDED, State.DELIVERED)
    assert [each.sop_instance_uid for each in pacs.arrived] == [sr_uid(newer)]
    assert [receipt.superseded_by for receipt in older.receipts] == [newer.key]
    assert older.documents[0].path.exists()


@pytest.fixture
def both_waiting(installation: Installation, tmp_path: Path) -> int:
    """The port of a destination that is not there yet; it is asked again and again."""
    port = free_port()
    installation.destination(Pacs(tmp_path / "pacs", port=port), port=port, attempts=100, backoff_s=0.2)
    return port


def late_to_a_dead_destination(installation: Installation, first: list[Dataset], late: list[Dataset]) -> None:
    """The first revision waits for its destination when the late images come; in the end both do, or one."""
    send_to_spool(installation.spool(), first)
    installation.wait(lambda found: bool(found and found[0].pending))
    send_to_spool(installation.spool(), late)
    installation.wait(lambda found: len(found) == 2 and bool(by_images(found)[1].shipments))


def test_what_waits_for_a_destination_is_overtaken_there(
    installation: Installation, both_waiting: int, tmp_path: Path
) -> None:
    uid = generate_uid()
    slices = ct_slices(uid, slices=6)
    with installation.worker():
        late_to_a_dead_destination(installation, slices[:5], slices[5:])
        with Pacs(tmp_path / "pacs", port=both_waiting) as peer:
            older, newer = by_images(installation.wait_final(2))
    assert (older.state, newer.state) == (State.SUPERSEDED, State.DELIVERED)
    assert [each.sop_instance_uid for each in peer.arrived] == [sr_uid(newer)]
    assert relation(installation.settings.results, newer).supersedes == (older.key,)
    with Pacs(tmp_path / "pacs", port=both_waiting) as peer:
        with pytest.raises(Rejected, match=f"superseded by {newer.key}.*--force"):
            replay(installation.settings, older.key)
        assert peer.arrived == ()
        (receipt,) = replay(installation.settings, older.key, even_superseded=True)
        assert receipt.delivered
        assert [each.sop_instance_uid for each in peer.arrived] == [sr_uid(older)]


def test_an_answer_is_delivered_where_the_newer_revision_came_to_none(
    installation: Installation, both_waiting: int, tmp_path: Path
) -> None:
    slices = ct_slices(slices=9)
    far_away = slices[8:]  # 20 mm beyond the fifth slice: outside of the geometry limits of the bundle
    with installation.worker():
        late_to_a_dead_destination(installation, slices[:5], far_away)
        with Pacs(tmp_path / "pacs", port=both_waiting) as peer:
            older, newer = by_images(installation.wait_final(2))
    assert [each.reports[0].findings[0].presence for each in (older, newer)] == [
        Presence.PRESENT,
        Presence.UNDETERMINED,
    ]
    assert (older.state, newer.state) == (State.DELIVERED, State.DELIVERED)
    assert {each.sop_instance_uid for each in peer.arrived} == {sr_uid(older), sr_uid(newer)}
    assert relation(installation.settings.results, older).superseded_by == ""
