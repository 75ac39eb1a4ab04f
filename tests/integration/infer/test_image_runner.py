"""A real MONAI bundle that reads each image by itself, on real DICOM radiographs."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from app.assemble import assemble
from app.assignment import Assignment
from app.errors import Failed, Rejected
from app.findings import Finding, Outcome, Presence, RegionKind, Report
from app.infer.catalogue import Catalogue
from app.infer.runner import Runner
from app.route.router import Router
from app.settings import Bundles, Inference
from app.study import Study
from app.workflow_plan import Plan, plan_of
from tests.integration.workflow.tiny import write_files
from tests.integration.workflow.tiny_images import (
    LESION,
    NOTHING,
    PNEUMOTHORAX,
    SIDE,
    bright_part,
    radiograph,
    two_views,
    with_pixels,
    write_image_bundle,
)

CPU = Inference(device="cpu", threads=1)
PRESENT, ABSENT, OPEN = Presence.PRESENT, Presence.ABSENT, Presence.UNDETERMINED


def assembled(folder: Path, images: Sequence[Dataset]) -> Study:
    write_files(folder / "study", list(images))
    return assemble(sorted((folder / "study").iterdir()))


def planned(folder: Path, study: Study, **spoilt: Any) -> tuple[Runner, Plan]:
    """The way of the service: catalogue, router, look at each image."""
    write_image_bundle(folder / "bundles", **spoilt)
    catalogue = Catalogue.load(Bundles(folder=folder / "bundles"))
    assert catalogue.refused == ()
    (assignment,) = Router.load(catalogue.services, ()).decide(study).assignments
    return Runner(catalogue, CPU), plan_of(study, assignment, catalogue.get(assignment.bundle).service)


def analysed(folder: Path, images: Sequence[Dataset], **spoilt: Any) -> Report:
    study = assembled(folder, images)
    runner, plan = planned(folder, study, **spoilt)
    assert plan.problem == ""
    return runner.analyse(study, plan.assignment)


def presences(report: Report) -> list[Presence]:
    return [finding.presence for finding in report.findings]


def certainty(share: float) -> list[float]:
    logits = torch.tensor([8.0, -8.0]) * share + torch.tensor([-4.0, 2.0])
    return [float(each) for each in logits.sigmoid()]


@pytest.mark.parametrize("one_series", [True, False])
def test_two_views_of_equal_size_are_one_report_in_which_any_image_counts(tmp_path: Path, one_series: bool) -> None:
    images = two_views((NOTHING, LESION), one_series=one_series)
    report = analysed(tmp_path, images)
    lesion, air = report.findings
    assert (report.outcome, report.reason, report.notes) == (Outcome.SUCCEEDED, "", ())
    assert len(report.stacks) == 2
    assert (lesion.presence, air.presence, report.urgent) == (PRESENT, ABSENT, False)
    assert lesion.certainty == pytest.approx(certainty(LESION)[0], abs=1e-5)
    assert air.certainty == pytest.approx(certainty(NOTHING)[1], abs=1e-5)
    assert [(score.sop_instance_uid, score.index) for score in lesion.slices] == [
        (images[0].SOPInstanceUID, 0),
        (images[1].SOPInstanceUID, 1),
    ]
    (region,) = lesion.regions
    assert (region.sop_instance_uid, region.kind) == (images[1].SOPInstanceUID, RegionKind.DETECTION)
    assert region.box == (0, 0, LESION * SIDE, SIDE)
    assert region.certainty == lesion.certainty
    assert air.regions == ()


def test_nothing_in_any_image_is_absent(tmp_path: Path) -> None:
    report = analysed(tmp_path, two_views((NOTHING, NOTHING)))
    assert (presences(report), report.outcome) == ([ABSENT, ABSENT], Outcome.SUCCEEDED)


def test_boxes_lie_in_pixels_of_a_larger_source(tmp_path: Path) -> None:
    first, second = two_views((LESION, NOTHING))
    report = analysed(tmp_path, [with_pixels(first, bright_part(LESION, 300, 300)), second])
    (region,) = report.findings[0].regions
    assert region.box == pytest.approx((0, 0, LESION * 300, 300), abs=4)


def test_an_urgent_finding_with_attention_has_no_certainty_of_its_box(tmp_path: Path) -> None:
    report = analysed(tmp_path, two_views((PNEUMOTHORAX, NOTHING)))
    (region,) = report.findings[1].regions
    assert (presences(report), report.urgent) == ([ABSENT, PRESENT], True)
    assert (region.kind, region.certainty) == (RegionKind.ATTENTION, None)


@pytest.mark.parametrize(
    ("shares", "said", "outcome"),
    [
        ((NOTHING, LESION), [OPEN, OPEN], Outcome.PARTIAL),
        ((LESION, NOTHING), [PRESENT, OPEN], Outcome.SUCCEEDED),
    ],
)
def test_a_cut_off_image_leaves_open_what_the_other_does_not_show(
    tmp_path: Path, shares: tuple[float, float], said: list[Presence], outcome: Outcome
) -> None:
    images = two_views(shares)
    images[1].PixelData = images[1].PixelData[:-10]
    report = analysed(tmp_path, images)
    assert (presences(report), report.outcome) == (said, outcome)
    (problem,) = report.notes
    assert problem.startswith("image 2 of series 1 (LL): ")
    assert "truncated" in problem
    assert report.reason == (problem if outcome is Outcome.PARTIAL else "")
    assert len(report.stacks) == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("nan", "output 'boxes' holds a box (0.0, 0.0, nan, "),
        ("outside", "with edges outside of an image of 120 x 120 pixels"),
        ("break", "bundle 'bright' broke: RuntimeError"),
    ],
)
def test_an_image_on_which_the_bundle_fails_leaves_open_what_the_other_does_not_show(
    tmp_path: Path, spoil: str, words: str
) -> None:
    first, second = two_views((NOTHING, LESION))
    report = analysed(
        tmp_path, [first, with_pixels(second, bright_part(LESION, 120, 120))], spoil=spoil, spoilt_columns=120
    )
    assert (presences(report), report.outcome) == ([OPEN, OPEN], Outcome.PARTIAL)
    assert report.reason.startswith("image 2 of series 1 (LL): ")
    assert words in report.reason


def test_a_bundle_that_fails_on_every_image_fails_with_each_reason(tmp_path: Path) -> None:
    study = assembled(tmp_path, two_views((LESION, LESION)))
    runner, plan = planned(tmp_path, study, spoil="nan")
    with pytest.raises(Failed, match=r"image 1 of series 1 \(PA\): output .*; image 2 of series 1 \(LL\): output"):
        runner.analyse(study, plan.assignment)


def test_the_only_image_fails_in_plain_words(tmp_path: Path) -> None:
    study = assembled(tmp_path, two_views((LESION, LESION))[:1])
    runner, plan = planned(tmp_path, study, spoil="outside")
    with pytest.raises(Failed, match=r"^output 'boxes' holds a box \(0.0, 0.0, 1064.0, 80.0\) with edges outside"):
        runner.analyse(study, plan.assignment)


def test_no_image_fit_for_analysis_is_told_before_anything_is_read(tmp_path: Path) -> None:
    write_files(tmp_path / "study", two_views((LESION, LESION)))
    for path in (tmp_path / "study").iterdir():
        os.truncate(path, path.stat().st_size - 10)
    _, plan = planned(tmp_path, assemble(sorted((tmp_path / "study").iterdir())))
    assert plan.problem.count("truncated") == 2
    assert "; image 2 of series 1 (LL): " in plan.problem


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (2, 2)])
def test_one_row_of_pixels_is_no_radiograph(tmp_path: Path, shape: tuple[int, int]) -> None:
    first, second = two_views((NOTHING, NOTHING))
    report = analysed(tmp_path, [first, with_pixels(second, bright_part(NOTHING, *shape))])
    assert (presences(report), report.outcome) == ([OPEN, OPEN], Outcome.PARTIAL)
    assert f"{shape[1]} × {shape[0]} pixels; a radiograph has at least 64 on each side" in report.reason


def test_an_image_of_one_value_shows_nothing(tmp_path: Path) -> None:
    first, second = two_views((NOTHING, NOTHING))
    report = analysed(tmp_path, [first, with_pixels(second, np.full((80, 80), 7, "<u2"))])
    assert "this radiograph shows nothing" in report.reason


def test_a_secondary_capture_of_8_bits_that_says_cr_is_read(tmp_path: Path) -> None:
    first, second = two_views((NOTHING, NOTHING), SOPClassUID=SecondaryCaptureImageStorage)
    report = analysed(tmp_path, [first, with_pixels(second, bright_part(LESION, dtype="u1"))])
    assert (presences(report), report.outcome) == ([PRESENT, ABSENT], Outcome.SUCCEEDED)


def test_a_capture_in_colour_is_not_read(tmp_path: Path) -> None:
    first, second = two_views((NOTHING, LESION), SOPClassUID=SecondaryCaptureImageStorage)
    with_pixels(second, bright_part(LESION, dtype="u1"))
    second.SamplesPerPixel, second.PhotometricInterpretation, second.PlanarConfiguration = 3, "RGB", 0
    second.PixelData *= 3
    report = analysed(tmp_path, [first, second])
    assert presences(report) == [OPEN, OPEN]
    assert "only grey images are read" in report.reason


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, "MONOCHROME1, inverted"),
        ({"PresentationLUTShape": "INVERSE"}, "PresentationLUTShape INVERSE, inverted"),
    ],
)
def test_an_inverted_image_is_seen_as_people_see_it(tmp_path: Path, said: dict[str, str], note: str) -> None:
    """Stored as the negative of an image without a finding: 20 % bright would be a finding on the wrong way round."""
    (image,) = two_views((NOTHING, NOTHING))[:1]
    top = np.iinfo(np.uint16).max
    with_pixels(image, (top - bright_part(LESION)).astype("<u2"))
    for keyword, value in said.items():
        setattr(image, keyword, value)
    report = analysed(tmp_path, [image])
    assert presences(report) == [PRESENT, ABSENT]
    assert report.notes[0] == note


def test_burned_in_text_and_what_only_one_image_has_is_noted_with_its_name(tmp_path: Path) -> None:
    report = analysed(tmp_path, two_views((NOTHING, NOTHING), BurnedInAnnotation="YES"))
    assert report.notes == ("image 2 of series 1 (LL): text is burned into the pixels (BurnedInAnnotation)",)
    assert presences(report) == [ABSENT, ABSENT]


def test_the_budget_is_of_each_image(tmp_path: Path) -> None:
    first, second = two_views((NOTHING, NOTHING))
    study = assembled(tmp_path, [first, with_pixels(second, bright_part(NOTHING, 200, 200))])
    runner, plan = planned(tmp_path, study)
    runner.settings = Inference(device="cpu", max_voxels=2 * SIDE * SIDE - 1)
    report = runner.analyse(study, plan.assignment)
    assert "200 x 200 pixels is 40000 voxels; inference.max_voxels allows 12799" in report.reason
    assert presences(report) == [OPEN, OPEN]


def test_every_image_over_the_budget_is_rejected(tmp_path: Path) -> None:
    study = assembled(tmp_path, two_views((NOTHING, NOTHING)))
    runner, plan = planned(tmp_path, study)
    runner.settings = Inference(device="cpu", max_voxels=10)
    with pytest.raises(Rejected, match=r"^image 1 .* allows 10; image 2"):
        runner.analyse(study, plan.assignment)


def test_moving_and_raw_images_are_passed_over_in_words(tmp_path: Path) -> None:
    first, second = two_views((NOTHING, NOTHING))
    loop = radiograph(NOTHING, 3, study=first.StudyInstanceUID, series="1.2.9", SeriesNumber=2, NumberOfFrames=2)
    loop.PixelData *= 2
    second.PresentationIntentType = "FOR PROCESSING"
    report = analysed(tmp_path, [first, second, loop])
    assert report.outcome is Outcome.PARTIAL
    assert "image 2 of series 1 (LL): raw detector values (FOR PROCESSING)" in report.reason
    assert "image 3 of series 2: 2 frames in one image" in report.reason


def test_a_raw_copy_is_noted_and_takes_nothing_away(tmp_path: Path) -> None:
    first, second = two_views((NOTHING, NOTHING), ViewPosition="PA", PresentationIntentType="FOR PROCESSING")
    report = analysed(tmp_path, [first, second])
    assert (presences(report), report.outcome, len(report.stacks)) == ([ABSENT, ABSENT], Outcome.SUCCEEDED, 1)
    (note,) = report.notes
    assert note.startswith("image 2 of series 1 (PA) was left out: raw values")


def test_the_order_of_files_never_matters(tmp_path: Path) -> None:
    images = two_views((LESION, NOTHING))
    one = analysed(tmp_path / "one", images)
    other = analysed(tmp_path / "other", images[::-1])
    assert replace(one, seconds=0, revision="") == replace(other, seconds=0, revision="")


def test_a_series_that_the_study_lacks_is_a_failure(tmp_path: Path) -> None:
    study = assembled(tmp_path, two_views((LESION, NOTHING)))
    runner, plan = planned(tmp_path, study)
    gone = Assignment("bright", "rule", plan.assignment.series_uid, 0, 1, more=(("1.2.3", 0),))
    with pytest.raises(Failed, match="no stack 0"):
        runner.analyse(study, gone)


def test_a_finding_of_images_is_what_the_contract_calls_it(tmp_path: Path) -> None:
    report = analysed(tmp_path, two_views((LESION, LESION)))
    (lesion, air) = report.findings
    assert [type(each) for each in report.findings] == [Finding, Finding]
    assert ((lesion.kind, lesion.urgent), (air.kind, air.urgent)) == (("lung_lesion", False), ("pneumothorax", True))
    assert [region.sop_instance_uid for region in lesion.regions] == [score.sop_instance_uid for score in lesion.slices]
