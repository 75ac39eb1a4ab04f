"""Documents about an enhanced multi-frame image, whose frames lie in another order than its slices."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from app.documents import DocumentKind
from app.errors import Failed
from app.findings import Presence, Report, SliceScore
from app.report import encode
from app.report.frames import SliceSource, frame_number, slice_sources
from app.report.picture import STRIP
from app.report.source import read_source
from app.study import Study
from bundles.common.contract import Window
from tests.unit.report.factory import MADE_AT
from tests.unit.report.volumes import enhanced_study, lesion_report

PLACES = (10, 0, 5, 15)
"""Heights of the frames; the slices, upwards, are frames 2, 3, 1 and 4."""
WINDOW = Window(center=40, width=80)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return enhanced_study(tmp_path / "study", PLACES)


def report_of(study: Study, folder: Path, presence: Presence, certainties: tuple[float, ...]) -> Report:
    """An answer with a score for each slice, and no lesions."""
    uid = study.series[0].instances[0].sop_instance_uid
    scores = tuple(SliceScore(uid, index, certainty) for index, certainty in enumerate(certainties))
    report = lesion_report(study, folder)
    finding = replace(report.findings[0], presence=presence, certainty=max(certainties), lesions=(), slices=scores)
    return replace(report, findings=(finding,))


def documents(report: Report, study: Study, folder: Path) -> dict[DocumentKind, Dataset]:
    made = encode(report, study, folder / "out", window=WINDOW, made_at=MADE_AT)
    assert [each.problem for each in made] == [""] * len(made)
    return {each.kind: dcmread(each.path) for each in made if each.kind is not DocumentKind.JSON}


def references(content: Dataset) -> list[tuple[int, ...]]:
    """Numbers of the frames of every image that a content item refers to."""
    found = []
    for item in content.get("ContentSequence", ()):
        for image in item.get("ReferencedSOPSequence", ()):
            numbers = image.get("ReferencedFrameNumber")
            if numbers is not None:
                found.append((numbers,) if isinstance(numbers, int) else tuple(numbers))
        found += references(item)
    return found


@pytest.mark.parametrize(("slice_index", "frame"), [(0, 2), (1, 3), (2, 1), (3, 4)])
def test_where_nothing_is_found_the_key_image_is_the_right_frame(
    study: Study, tmp_path: Path, slice_index: int, frame: int
) -> None:
    certainties = tuple(0.25 if index == slice_index else 0.125 for index in range(4))
    made = documents(report_of(study, tmp_path, Presence.ABSENT, certainties), study, tmp_path)
    image = made[DocumentKind.KEY_IMAGE]
    assert image.SourceImageSequence[0].ReferencedFrameNumber == frame
    grey = image.pixel_array[STRIP:-STRIP][20, 20].astype(int).tolist()
    assert grey == [round(PLACES[frame - 1] / 80 * 255)] * 3


def test_the_report_names_the_frames_that_an_answer_rests_on(study: Study, tmp_path: Path) -> None:
    made = documents(report_of(study, tmp_path, Presence.PRESENT, (0.125, 0.75, 0.875, 0.25)), study, tmp_path)
    assert references(made[DocumentKind.SR]) == [(1, 3)]


def test_lesions_without_a_segmentation_name_their_frames(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    first = replace(report.findings[0], slices=())
    # The masks were kept in another folder: none is found, and so there is no segmentation.
    made = encode(replace(report, findings=(first,)), study, tmp_path / "elsewhere", made_at=MADE_AT)
    (sr,) = [dcmread(each.path) for each in made if each.kind is DocumentKind.SR]
    assert any(each.kind is DocumentKind.SEG and each.problem for each in made)
    numbers = {slice_sources(read_source(report, study).stacks[0])[lesion.index].frame for lesion in first.lesions}
    assert {number for each in references(sr) for number in each} == numbers


def test_slices_know_their_frames(study: Study, tmp_path: Path) -> None:
    report = report_of(study, tmp_path, Presence.ABSENT, (0.1, 0.1, 0.1, 0.1))
    stack = read_source(report, study).stacks[0]
    (instance,) = study.series[0].instances
    named = [SliceSource(instance.sop_class_uid, instance.sop_instance_uid, frame) for frame in (2, 3, 1, 4)]
    assert list(slice_sources(stack)) == named
    with pytest.raises(Failed, match="slice 5 of a stack of 4"):
        frame_number(stack, 4)


def test_a_file_that_is_gone_spoils_the_picture_and_not_the_report(study: Study, tmp_path: Path) -> None:
    report = report_of(study, tmp_path, Presence.PRESENT, (0.125, 0.75, 0.875, 0.25))
    study.series[0].instances[0].path.unlink()
    made = {each.kind: each for each in encode(report, study, tmp_path / "out", window=WINDOW, made_at=MADE_AT)}
    assert made[DocumentKind.SR].problem == ""
    assert references(dcmread(made[DocumentKind.SR].path)) == []
    assert "cannot be read again" in made[DocumentKind.KEY_IMAGE].problem
