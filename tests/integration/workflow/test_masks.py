"""Masks from the spool to the PACS: a segmentation beside the report, and nothing left lying about."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation
from pydicom import dcmread

from app.demo.pacs import Pacs
from app.documents import DocumentKind
from app.findings import Outcome, Presence
from app.outcomes import State
from tests.integration.workflow.conftest import PATIENCE_S, Installation
from tests.integration.workflow.tiny import ct_slices, send_to_spool
from tests.integration.workflow.tiny_lesions import SPOTS, spotted, write_lesion_bundle

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What is tested here does not depend on the kind of database."""
    return f"sqlite:///{tmp_path}/workflow.sqlite"


@pytest.fixture
def spots(installation: Installation) -> Installation:
    write_lesion_bundle(installation.folder / "bundles")
    installation.overrides["bundles"] = {"enabled": ["spots"]}
    return installation


@pytest.fixture
def pacs_of_all(pacs: Pacs, spots: Installation) -> Pacs:
    spots.destinations[0]["documents"] = ["sr", "seg", "key_image"]
    return pacs


def left_lying(installation: Installation) -> list[str]:
    return sorted(path.name for path in installation.settings.results.glob("*/.masks-*"))


def wait_until_tidy(installation: Installation) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left_lying(installation):
        assert time.monotonic() < deadline, left_lying(installation)
        time.sleep(0.05)


def test_each_finding_with_lesions_has_a_segmentation_at_the_pacs(spots: Installation, pacs_of_all: Pacs) -> None:
    images = spotted()
    send_to_spool(spots.spool(), images)
    with spots.worker():
        (outcome,) = spots.wait_final()
        wait_until_tidy(spots)
    (report,) = outcome.reports
    assert (outcome.state, [document.problem for document in outcome.documents]) == (
        State.DELIVERED,
        [""] * len(outcome.documents),
    )
    assert [[lesion.number for lesion in finding.lesions] for finding in report.findings] == [[1, 2], [1]]
    assert [round(lesion.volume_mm3) for lesion in report.findings[0].lesions] == [2 * 4 * 3 * 5, 1 * 5 * 1 * 5]
    arrived = [dcmread(each.path, force=True) for each in pacs_of_all.arrived]
    assert Counter(each.Modality for each in arrived) == {"SR": 1, "SEG": 2, "OT": 1}
    assert Counter(document.kind for document in outcome.documents)[DocumentKind.SEG] == 2
    first, second = sorted((each for each in arrived if each.Modality == "SEG"), key=lambda each: each.InstanceNumber)
    for data, wanted in ((first, SPOTS), (second, SPOTS[1:])):
        labels = Segmentation.from_dataset(data).get_pixels_by_source_instance(
            [image.SOPInstanceUID for image in images], combine_segments=True
        )
        expected = np.zeros((5, 32, 32), np.uint8)
        for number, (top, bottom, left, right, begin, end) in enumerate(wanted, 1):
            expected[begin:end, top:bottom, left:right] = number
        assert (labels == expected).all()


def test_without_the_finding_there_is_no_segmentation(spots: Installation, pacs_of_all: Pacs) -> None:
    send_to_spool(spots.spool(), ct_slices(hu=0))
    with spots.worker():
        (outcome,) = spots.wait_final()
    assert [finding.presence for finding in outcome.reports[0].findings] == [Presence.ABSENT] * 2
    assert [dcmread(each.path, force=True).Modality for each in pacs_of_all.arrived] == ["SR"]
    assert left_lying(spots) == []


def test_a_mask_that_is_none_of_the_series_is_no_answer(spots: Installation, pacs_of_all: Pacs) -> None:
    write_lesion_bundle(spots.folder / "bundles", "cropping", crop=4)
    spots.overrides["bundles"] = {"enabled": ["cropping"]}
    send_to_spool(spots.spool(), spotted())
    with spots.worker():
        (outcome,) = spots.wait_final()
    (report,) = outcome.reports
    assert (report.outcome, report.reason) == (
        Outcome.FAILED,
        "output 'lesions' has the shape (32, 32, 4), the series has (columns, rows, slices) (32, 32, 5)",
    )
    assert left_lying(spots) == []


def test_what_cannot_be_kept_is_told_and_the_answer_leaves(
    spots: Installation, pacs_of_all: Pacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up as the masks are written: `keep` meets what the system would say."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.infer.runner.keep", full)
    send_to_spool(spots.spool(), spotted())
    with spots.worker():
        (outcome,) = spots.wait_final()
    (report,) = outcome.reports
    assert [finding.presence for finding in report.findings] == [Presence.PRESENT] * 2
    assert "the outlines of the findings could not be kept" in report.notes[-1]
    assert [(document.kind, bool(document.problem)) for document in outcome.documents][:3] == [
        (DocumentKind.SR, False),
        (DocumentKind.SEG, True),
        (DocumentKind.SEG, True),
    ]
    assert Counter(dcmread(each.path, force=True).Modality for each in pacs_of_all.arrived) == {"SR": 1, "OT": 1}
