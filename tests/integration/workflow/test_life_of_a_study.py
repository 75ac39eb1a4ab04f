"""From the spool to the PACS, with real networks, real databases and real associations."""

import socket
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from app.demo.pacs import Faults, Pacs
from app.findings import Outcome, Presence
from app.outcomes import State
from app.study import BROKEN_OFF
from app.workflow import replay, study
from tests.integration.workflow.conftest import Installation, free_port
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

pytestmark = pytest.mark.timeout(180)


def arrived(pacs: Pacs, number: int, timeout_s: float = 60) -> bool:
    return pacs.wait(lambda objects: len(objects) >= number, timeout_s)


def test_a_study_becomes_an_sr_at_the_pacs(installation: Installation, pacs: Pacs) -> None:
    uid = generate_uid()
    send_to_spool(installation.spool(), ct_slices(uid))
    with installation.worker():
        (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    assert outcome.study_uid == uid
    (report,) = outcome.reports
    (finding,) = report.findings
    assert (finding.presence, len(finding.slices)) == (Presence.PRESENT, 5)
    assert {timing.stage for timing in outcome.timings} == {"assemble", "route", "infer", "report", "deliver"}
    (sr,) = pacs.arrived
    assert [document.sop_instance_uid for document in outcome.documents if document.kind == "sr"] == [
        sr.sop_instance_uid
    ]
    assert dcmread(sr.path, force=True).StudyInstanceUID == uid
    assert study(installation.settings, uid) == outcome


def test_the_same_images_again_make_nothing_new_and_late_ones_a_revision(
    installation: Installation, pacs: Pacs
) -> None:
    slices = ct_slices(slices=6)
    spool = installation.spool()
    with installation.worker():
        send_to_spool(spool, slices[:5])
        installation.wait_final()
        send_to_spool(spool, slices[:5])
        installation.wait(lambda _: not spool.arrivals())
        assert len(installation.outcomes()) == 1
        send_to_spool(spool, slices[5:])
        second, first = installation.wait_final(2)
    assert [len(first.files), len(second.files)] == [5, 6]
    assert len({each.sop_instance_uid for each in pacs.arrived}) == len(pacs.arrived) == 2
    before, after = (dcmread(each.path, force=True) for each in pacs.arrived)
    assert "PredecessorDocumentsSequence" not in before
    (predecessor,) = after.PredecessorDocumentsSequence
    (named,) = predecessor.ReferencedSeriesSequence
    assert named.SeriesInstanceUID == before.SeriesInstanceUID
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID


def test_what_a_broken_transfer_shows_is_reported_and_the_same_images_finished_are_a_revision(
    installation: Installation, pacs: Pacs
) -> None:
    installation.overrides["assembly"] = {"interrupted_s": 0.5}
    slices, spool = ct_slices(), installation.spool()
    with installation.worker():
        send_to_spool(spool, slices, released=False)
        installation.wait_final()
        send_to_spool(spool, slices)
        whole, part = installation.wait_final(2)
    assert (part.interrupted, whole.interrupted, part.files) == (True, False, whole.files)
    for outcome, notes in ((part, (BROKEN_OFF,)), (whole, ())):
        (report,) = outcome.reports
        assert (report.outcome, report.notes) == (Outcome.SUCCEEDED, notes)
        assert [finding.presence for finding in report.findings] == [Presence.PRESENT]
    assert [BROKEN_OFF.encode() in each.path.read_bytes() for each in pacs.arrived] == [True, False]


def test_a_study_in_the_spool_without_a_marker_is_taken_up_at_start(installation: Installation, pacs: Pacs) -> None:
    spool = installation.spool()
    send_to_spool(spool, ct_slices())
    for arrival in spool.arrivals():
        assert spool.settle(arrival)
    with installation.worker():
        (outcome,) = installation.wait_final()
        assert outcome.state is State.DELIVERED
    with installation.worker():
        installation.wait_final()
    assert len(pacs.arrived) == 1


def test_a_study_that_no_bundle_wants_is_recorded_with_the_reasons(installation: Installation, pacs: Pacs) -> None:
    send_to_spool(installation.spool(), ct_slices(modality="MR"))
    with installation.worker():
        (outcome,) = installation.wait_final()
    assert outcome.state is State.UNWANTED
    assert outcome.decision is not None
    (declined,) = outcome.decision.declined
    assert "MR" in declined.reasons[0]
    assert pacs.arrived == ()


def test_a_bundle_that_says_nan_ends_undetermined(installation: Installation, pacs: Pacs) -> None:
    write_bundle(installation.folder / "bundles", "broken", broken=True)
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    by_bundle = {report.algorithm.name: report for report in outcome.reports}
    assert by_bundle["brightness"].outcome is Outcome.SUCCEEDED
    assert by_bundle["broken"].outcome is Outcome.FAILED
    assert "nan" in by_bundle["broken"].reason
    assert [finding.presence for finding in by_bundle["broken"].findings] == [Presence.UNDETERMINED]
    assert len(pacs.arrived) == 2


def test_a_study_outside_of_the_geometry_limits_ends_undetermined(installation: Installation, pacs: Pacs) -> None:
    send_to_spool(installation.spool(), ct_slices(slices=1))
    with installation.worker():
        (outcome,) = installation.wait_final()
    (report,) = outcome.reports
    assert report.outcome is Outcome.NOT_ATTEMPTED
    assert report.reason
    assert [finding.presence for finding in report.findings] == [Presence.UNDETERMINED]
    assert len(pacs.arrived) == 1


def test_an_analysis_that_hangs_ends_undetermined_and_holds_nobody_back(installation: Installation, pacs: Pacs) -> None:
    write_bundle(installation.folder / "bundles", "sleeper", delay_s=20)
    installation.overrides["inference"] = {"timeout_s": 2}
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        (outcome,) = installation.wait_final()
    reasons = {report.algorithm.name: report.reason for report in outcome.reports}
    assert reasons["brightness"] == ""
    assert "timeout_s" in reasons["sleeper"]
    assert len(pacs.arrived) == 2


def test_a_destination_that_comes_back_gets_its_document(installation: Installation, tmp_path: Path) -> None:
    port = free_port()
    installation.destination(Pacs(tmp_path / "pacs", port=port), port=port, attempts=30)
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        with socket.create_server(("127.0.0.1", port)) as nobody_home:
            nobody_home.settimeout(60)
            nobody_home.accept()[0].close()
        with Pacs(tmp_path / "pacs", port=port) as peer:
            (outcome,) = installation.wait_final()
    (receipt,) = outcome.receipts
    assert (outcome.state, receipt.delivered) == (State.DELIVERED, True)
    assert receipt.attempts > 1
    assert len(peer.arrived) == 1


def test_a_dead_destination_holds_nobody_back_and_ends_as_a_dead_letter_that_can_be_replayed(
    installation: Installation, pacs: Pacs, tmp_path: Path
) -> None:
    port = free_port()
    installation.destination(Pacs(tmp_path / "archive", port=port), name="archive", port=port, attempts=3, backoff_s=1)
    uid = generate_uid()
    send_to_spool(installation.spool(), ct_slices(uid))
    with installation.worker():
        assert arrived(pacs, 1)
        assert installation.outcomes()[0].state is State.PROCESSING
        (outcome,) = installation.wait_final()
    assert outcome.state is State.UNDELIVERED
    dead = next(receipt for receipt in outcome.receipts if not receipt.delivered)
    assert (dead.destination, dead.attempts) == ("archive", 3)
    with Pacs(tmp_path / "archive", port=port) as archive:
        (receipt,) = replay(installation.settings, uid, "archive")
        assert (receipt.delivered, receipt.attempts) == (True, 4)
        assert len(archive.arrived) == 1
    after = study(installation.settings, uid)
    assert after is not None
    assert after.state is State.DELIVERED


def test_a_destination_that_rejects_is_not_asked_again(installation: Installation, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs", faults=Faults(status=0xA900)) as peer:
        installation.destination(peer)
        send_to_spool(installation.spool(), ct_slices())
        with installation.worker():
            (outcome,) = installation.wait_final()
    (receipt,) = outcome.receipts
    assert (outcome.state, receipt.delivered, receipt.attempts) == (State.UNDELIVERED, False, 1)
    assert "A900" in receipt.detail.upper()


def test_urgent_series_come_first(installation: Installation, pacs: Pacs) -> None:
    """While one analysis runs, the urgent series of later studies pass those that wait."""
    begun = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "urgent", begun=begun, priority=1)
    write_bundle(installation.folder / "bundles", "patient", begun=begun, priority=5, delay_s=2)
    installation.overrides["bundles"] = {"enabled": ["urgent", "patient"]}
    spool = installation.spool()
    with installation.worker():
        send_to_spool(spool, ct_slices())
        installation.wait(lambda found: any(len(each.begun) == 2 for each in found))
        send_to_spool(spool, ct_slices())
        send_to_spool(spool, ct_slices())
        installation.wait_final(3)
    assert begun.read_text().split() == ["urgent", "patient", "urgent", "urgent", "patient", "patient"]
