"""What lies over a slice lies where it was found: against slow references, for stacks in any position."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.documents import DocumentKind
from app.findings import Finding, Presence, Region, RegionKind
from app.masks import masks_of
from app.outcomes import StudyOutcome
from app.report import encode
from app.slices import slice_places
from app.study import Study
from app.web.study.overlays import overlays, project
from bundles.common.geometry import StackGeometry, plane_of, point, slice_normal
from bundles.common.masks.grid import SourceGrid
from tests.unit.report.factory import FRAME_UID, make_report, make_study
from tests.unit.report.volumes import enhanced_study, lesion_report, turned_study

TURNED = (((0.6, 0.8, 0.0), (0.0, 0.0, -1.0)), (-0.8, 0.6, 0.0))


def with_space(study: Study) -> Study:
    """With the header of the frame of reference, which the factory's series do not carry."""
    series = study.series[0]
    headers = {**series.headers, "FrameOfReferenceUID": FRAME_UID, "SliceThickness": 5}
    return replace(study, series=(replace(series, headers=headers),))


def filled(lines: list[list[float]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """By the even-odd rule, pixel by pixel: how many upright edges lie left of its centre."""
    inside = np.zeros(shape, dtype=bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            crossings = 0
            for line in lines:
                points = list(zip(line[::2], line[1::2], strict=True))
                for (x0, y0), (x1, y1) in pairwise(points):
                    low, high = sorted((y0, y1))
                    if x0 == x1 and x0 < column + 0.5 and low < row + 0.5 < high:
                        crossings += 1
            inside[row, column] = crossings % 2 == 1
    return inside


@pytest.mark.parametrize("kind", ["straight", "turned", "enhanced"])
def test_outlines_hold_exactly_what_the_mask_held(kind: str, tmp_path: Path) -> None:
    if kind == "straight":
        study = with_space(make_study(tmp_path / "in"))
    elif kind == "turned":
        study = with_space(turned_study(tmp_path / "in", TURNED[0], (-3.2, 2.4, 0.0)))
    else:
        study = with_space(enhanced_study(tmp_path / "in"))
    series = study.series[0]
    geometry = series.geometry
    assert geometry is not None
    shape = (geometry.columns, geometry.rows, len(geometry.origins))
    mask = np.zeros(shape, np.int32)
    mask[2:7, 3:5, 1:3] = 1
    mask[4, 3, 1] = 0
    mask[8:10, 6:9, 3] = 2
    report = lesion_report(study, tmp_path / "out", mask)
    volume = masks_of(tmp_path / "out", report, "brain_metastasis").whole()
    documents = encode(report, study, tmp_path / "out")
    assert [each.problem for each in documents if each.kind is DocumentKind.SEG] == [""]
    outcome = StudyOutcome("key", 0.0, reports=(report,), documents=documents)
    found = overlays(outcome, series, slice_places(series))
    assert found.problems == ()
    outlines = [mark for mark in found.marks if mark.layer == "outline"]
    for index in range(shape[2]):
        lines = [line for mark in outlines if mark.slice == index for line in mark.lines]
        assert np.array_equal(filled(lines, (geometry.rows, geometry.columns)), volume[index] > 0), index
    assert {mark.finding for mark in outlines} == {"brain_metastasis"}
    assert all("lesion" in mark.label for mark in outlines)


def test_a_missing_segmentation_says_so_and_boxes_stay(tmp_path: Path) -> None:
    study = with_space(make_study(tmp_path / "in"))
    series = study.series[0]
    report = lesion_report(study, tmp_path / "out")
    box = Region(series.instances[2].sop_instance_uid, (1.0, 2.0, 5.0, 7.5), RegionKind.DETECTION, 0.75)
    report = replace(report, findings=(replace(report.findings[0], regions=(box,)),))
    documents = encode(report, study, tmp_path / "out")
    for each in documents:
        if each.kind is DocumentKind.SEG:
            each.path.unlink()
    found = overlays(StudyOutcome("key", 0.0, reports=(report,), documents=documents), series, slice_places(series))
    assert len(found.problems) == 1
    assert found.problems[0].startswith("The outlines cannot be drawn: ")
    (mark,) = [mark for mark in found.marks if mark.layer == "detection"]
    assert (mark.slice, mark.label) == (2, "brain metastasis 75.0 %")
    assert mark.lines == [[1.0, 2.0, 5.0, 2.0, 5.0, 7.5, 1.0, 7.5, 1.0, 2.0]]


def test_what_is_not_present_is_not_drawn(tmp_path: Path) -> None:
    study = make_study(tmp_path / "in")
    series = study.series[0]
    box = Region(series.instances[0].sop_instance_uid, (1.0, 2.0, 5.0, 7.5), RegionKind.DETECTION, 0.75)
    finding = Finding("brain_metastasis", Presence.ABSENT, 0.1, 0.5, regions=(box,))
    report = make_report(findings=(finding,))
    found = overlays(StudyOutcome("key", 0.0, reports=(report,)), series, slice_places(series))
    assert found.marks == ()


directions = st.sampled_from(
    [
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
        ((0.6, 0.8, 0.0), (0.0, 0.0, -1.0)),
        ((1.0, 0.0, 0.0), (0.0, 0.8, 0.6)),
    ]
)


@given(directions, st.integers(0, 4), st.integers(0, 9), st.integers(0, 11), st.floats(-6, 6), st.floats(-0.4, 0.4))
def test_a_point_of_the_patient_lands_on_its_pixel(  # noqa: PLR0917
    axes: tuple[tuple[float, float, float], tuple[float, float, float]],
    index: int,
    row: int,
    column: int,
    tilt: float,
    off: float,
) -> None:
    """The reference goes the other way: from every pixel to its point, which is exact for any stack."""
    normal = np.cross(*axes)
    places = (0.0, 4.0, 9.0, 13.0, 20.0)
    origins = [
        np.array([-31.0, 12.0, 7.0]) + normal * at + np.asarray(axes[1]) * tilt * number
        for number, at in enumerate(places)
    ]
    geometry = StackGeometry(
        rows=10,
        columns=12,
        row_direction=axes[0],
        column_direction=axes[1],
        pixel_spacing_mm=(0.5, 0.75),
        origins=tuple((float(o[0]), float(o[1]), float(o[2])) for o in origins),
        plane=plane_of(normal),
    )
    grid = SourceGrid(geometry, np.eye(4), "1.2", "1.3", ("1",) * 5)
    at = np.asarray(point(geometry, index, row, column)) + off * slice_normal(geometry)
    found = project(grid, at)
    assert found is not None
    assert found[0] == index
    assert found[1:] == pytest.approx((column + 0.5, row + 0.5), abs=1e-6)
    assert project(grid, at + 40 * slice_normal(geometry)) is None
    assert project(grid, at + 40 * np.asarray(axes[0])) is None
