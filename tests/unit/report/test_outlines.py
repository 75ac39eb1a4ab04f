from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from app.documents import DocumentKind
from app.findings import Presence, Report
from app.masks import mask_files, masks_of
from app.report import encode
from app.report.outlines import LEGEND, NOT_DRAWN, Outline, outlines_on
from app.report.picture import YELLOW, draw
from app.report.shown import content, shown_images
from app.study import Study
from tests.unit.report.factory import MADE_AT, instance_uid, make_study
from tests.unit.report.volumes import REGION, lesion_mask, lesion_report


def pictures(report: Report, study: Study, folder: Path) -> list[Dataset]:
    made = [each for each in encode(report, study, folder, made_at=MADE_AT) if each.kind is DocumentKind.KEY_IMAGE]
    assert [each.problem for each in made] == [""] * len(made)
    return [dcmread(each.path) for each in made]


def yellow(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (picture == YELLOW).all(-1)


def test_shows_the_slices_that_show_most_of_each_lesion(study: Study, tmp_path: Path) -> None:
    shown = pictures(lesion_report(study, tmp_path), study, tmp_path)
    assert [
        (each.InstanceNumber, each.SourceImageSequence[0].ReferencedSOPInstanceUID, each.DerivationDescription[:30])
        for each in shown
    ] == [
        (1, instance_uid(2), "Slice that shows most of a les"),
        (2, instance_uid(3), "Slice that shows most of a les"),
    ]


def test_says_how_many_lesions_there_are_and_which_slice_this_is(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    answer = "Brain metastasis: present - probability 93.7 %, threshold 50.0 %; 2 lesions, 12.6 ml; slice"
    assert [content(report, each).lines for each in shown_images(report)] == [
        (f"{answer} 3 of 4",),
        (f"{answer} 4 of 4",),
    ]
    finding = replace(report.findings[0], slices=(), lesions=report.findings[0].lesions[:1], urgent=True)
    alone = replace(report, findings=(finding,))
    lines = content(alone, shown_images(alone)[0]).lines
    assert lines[0].endswith("1 lesion, 11.8 ml; slice 3")
    assert lines[1].startswith("Flagged for early reading")


def test_of_very_many_lesions_the_six_most_certain_are_shown(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", slices=9)
    mask = np.zeros((64, 64, 9), np.int32)
    for number, index in enumerate((8, 0, 7, 1, 6, 2, 5, 3), 1):
        mask[10:12, 10:12, index] = number
    shown = shown_images(lesion_report(study, tmp_path, mask))
    assert [(each.number, each.index) for each in shown] == [(1, 0), (2, 1), (3, 2), (4, 6), (5, 7), (6, 8)]


def test_outlines_what_the_slice_shows(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    found, legend = outlines_on(report, 3, lambda finding: masks_of(tmp_path, report, finding.kind))
    mask = lesion_mask()[..., 3].T
    assert [(each.label, bool((each.inside == (mask == n)).all())) for n, each in enumerate(found, 1)] == [
        ("1: 93.7 %, 40 mm", True),
        ("2: 50.0 %, 15 mm", True),
    ]
    assert (legend, found[1].box) == ((LEGEND,), (50, 40, 53, 45))


def test_a_region_is_labelled_with_its_volume(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path, (lesion_mask() > 0) * 1, REGION, "intracranial_hemorrhage")
    (found,), _ = outlines_on(report, 2, lambda finding: masks_of(tmp_path, report, finding.kind))
    assert found.label == "Intracranial hemorrhage, 12.6 ml"


def test_without_its_mask_a_slice_is_shown_and_says_so(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    for path in mask_files(tmp_path, report):
        path.unlink()
    shown = pictures(report, study, tmp_path)
    assert [int(yellow(each.pixel_array[40:700]).sum()) for each in shown] == [0, 0]
    assert outlines_on(report, 2, None) == ((), (NOT_DRAWN,))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 2.0)])
def test_the_line_goes_around_and_never_on_what_it_holds(spacing: tuple[float, float]) -> None:
    inside = np.zeros((64, 64), bool)
    inside[20:30, 12:40] = True
    inside[24, 20] = False
    grey = np.full((64, 64), 90, np.uint8)
    plain = draw(grey, spacing, "", [])
    picture = draw(grey, spacing, "", [], outlines=(Outline(inside, "1"),))
    height, width = picture.shape[:2]
    held = inside[np.arange(height) * 64 // height][:, np.arange(width) * 64 // width]
    assert (picture[held] == plain[held]).all()
    ring = yellow(picture)
    near = np.zeros_like(held)
    for down in range(-6, 7):
        for right in range(-6, 7):
            near |= np.roll(held, (down, right), (0, 1))
    label = np.zeros_like(held)
    label[: int(20 * height / 64) - 3] = True
    assert ring.any()
    assert not (ring & ~near & ~label).any()


def test_an_absent_finding_shows_no_outlines(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    absent = replace(report, findings=(replace(report.findings[0], presence=Presence.ABSENT),))
    (shown,) = shown_images(absent)
    assert (shown.index, shown.sop_instance_uid) == (None, instance_uid(1))
