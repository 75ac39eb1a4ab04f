"""Radiographs from the spool to the PACS: all images of a study, one report."""

import time
from pathlib import Path

import pytest
from pydicom import dcmread

from app.demo.pacs import Pacs
from app.findings import Outcome, Presence
from app.outcomes import State
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import send_to_spool
from tests.integration.workflow.tiny_images import (
    LESION,
    NOTHING,
    bright_part,
    two_views,
    with_pixels,
    write_image_bundle,
)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What is tested here does not depend on the kind of database."""
    return f"sqlite:///{tmp_path}/workflow.sqlite"


@pytest.fixture
def images(installation: Installation) -> Installation:
    write_image_bundle(installation.folder / "bundles")
    return installation


def test_both_views_of_a_study_are_one_sr(images: Installation, pacs: Pacs) -> None:
    views = two_views((NOTHING, LESION))
    send_to_spool(images.spool(), views)
    with images.worker():
        (outcome,) = images.wait_final()
    (report,) = outcome.reports
    assert (outcome.state, report.outcome, len(report.stacks)) == (State.DELIVERED, Outcome.SUCCEEDED, 2)
    assert [finding.presence for finding in report.findings] == [Presence.PRESENT, Presence.ABSENT]
    (sr,) = pacs.arrived
    evidence = dcmread(sr.path, force=True).CurrentRequestedProcedureEvidenceSequence
    named = {
        image.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }
    assert named == {view.SOPInstanceUID for view in views}


def test_no_view_that_can_be_read_is_one_undetermined_sr(images: Installation, pacs: Pacs) -> None:
    views = [with_pixels(view, bright_part(LESION, 1, 300)) for view in two_views((LESION, LESION))]
    send_to_spool(images.spool(), views)
    with images.worker():
        (outcome,) = images.wait_final()
    (report,) = outcome.reports
    assert (outcome.state, report.outcome, len(report.stacks)) == (State.DELIVERED, Outcome.FAILED, 2)
    assert {finding.presence for finding in report.findings} == {Presence.UNDETERMINED}
    assert report.reason.count("300 × 1 pixels") == 2
    assert len(pacs.arrived) == 1


def test_moving_images_alone_are_not_attempted(images: Installation, pacs: Pacs) -> None:
    views = two_views((LESION, LESION))
    for view in views:
        view.NumberOfFrames, view.PixelData = 2, view.PixelData * 2
    send_to_spool(images.spool(), views)
    with images.worker():
        (outcome,) = images.wait_final()
    (report,) = outcome.reports
    assert (report.outcome, len(report.stacks)) == (Outcome.NOT_ATTEMPTED, 2)
    assert report.reason.count("2 frames in one image") == 2
    assert len(pacs.arrived) == 1


def test_one_moving_image_among_others_leaves_open_what_they_do_not_show(images: Installation, pacs: Pacs) -> None:
    views = two_views((NOTHING, LESION))
    views[1].NumberOfFrames, views[1].PixelData = 2, views[1].PixelData * 2
    send_to_spool(images.spool(), views)
    with images.worker():
        (outcome,) = images.wait_final()
    (report,) = outcome.reports
    assert report.outcome is Outcome.PARTIAL
    assert report.reason.startswith("image 2 of series 1 (LL): 2 frames in one image")
    assert len(pacs.arrived) == 1


def test_a_late_view_makes_a_revision_that_stands_for_the_first(images: Installation, pacs: Pacs) -> None:
    """The late view has the lower number, and so comes before the one that was there."""
    views = two_views((LESION, NOTHING))
    spool = images.spool()
    with images.worker():
        send_to_spool(spool, views[1:])
        images.wait_final()
        send_to_spool(spool, views[:1])
        both, first = images.wait_final(2)
    assert [len(each.reports[0].stacks) for each in (first, both)] == [1, 2]
    assert [each.reports[0].findings[0].presence for each in (first, both)] == [Presence.ABSENT, Presence.PRESENT]
    assert len({each.sop_instance_uid for each in pacs.arrived}) == 2


def test_the_time_limit_is_of_all_images_together(images: Installation, pacs: Pacs) -> None:
    write_image_bundle(images.folder / "bundles", "slow", delay_s=1.5)
    images.overrides["inference"] = {"timeout_s": 2}
    images.overrides["bundles"] = {"enabled": ["slow"]}
    started = time.monotonic()
    send_to_spool(images.spool(), two_views((LESION, LESION)))
    with images.worker():
        (outcome,) = images.wait_final()
    (report,) = outcome.reports
    assert (report.outcome, "timeout_s" in report.reason) == (Outcome.FAILED, True)
    assert time.monotonic() - started < 120
    assert len(pacs.arrived) == 1
