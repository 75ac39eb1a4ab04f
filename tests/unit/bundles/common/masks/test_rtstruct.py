"""Outlines of structure sets on their series: against one point after the other, at any orientation."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.common.headers import UnreadableImage
from bundles.common.masks.grid import UnusableMask
from bundles.common.masks.polygons import filled
from bundles.common.masks.regions import Region
from bundles.common.masks.rtstruct import read_rtstruct, referenced_series, region_names
from bundles.common.pixels import open_image
from tests.unit.bundles.common.dicom import AXIAL, SERIES
from tests.unit.bundles.common.masks.objects import doubtful, grid_of, inside, orientation_of, outline, structure_set

ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
CORNER = st.tuples(*[st.integers(-3, 9).map(lambda whole: whole + 0.37)] * 2)
POLYGON = st.lists(CORNER, min_size=3, max_size=7, unique=True)
SQUARE = [(1.5, 0.5), (5.5, 0.5), (5.5, 3.5), (1.5, 3.5)]
HOLE = [(2.5, 1.5), (4.5, 1.5), (4.5, 2.5), (2.5, 2.5)]


@given(st.lists(POLYGON, min_size=1, max_size=3))
def test_filling_is_the_even_odd_rule_for_every_pixel(polygons: list[list[tuple[float, float]]]) -> None:
    found = filled([np.asarray(polygon) for polygon in polygons], 8, 6)
    for x in range(8):
        for y in range(6):
            if not any(doubtful(x, y, polygon) for polygon in polygons):
                assert found[x, y] == (sum(inside(x, y, polygon) for polygon in polygons) % 2 == 1)


@given(st.integers(0, 7), st.integers(0, 5), st.integers(0, 7))
def test_neighbours_share_no_pixel_and_leave_none_out(x: int, y: int, slope: int) -> None:
    whole = [(0, 0), (8, 0), (8, 6), (0, 6)]
    left = [(0, 0), (x, 0), (slope, y), (x, 6), (0, 6)]
    right = [(x, 0), (8, 0), (8, 6), (x, 6), (slope, y)]
    parts = [filled([np.asarray(part, float)], 8, 6) for part in (left, right)]
    if x == slope:
        assert not (parts[0] & parts[1]).any()
    np.testing.assert_array_equal(parts[0] ^ parts[1], filled([np.asarray(whole, float)], 8, 6))


@settings(max_examples=25, deadline=None)
@given(ANGLES, st.sampled_from([0.0, -17.0, 24.0]), st.integers(0, 3), st.lists(POLYGON, min_size=1, max_size=2))
def test_the_right_voxels_at_any_orientation(
    angles: Sequence[float], tilt: float, place: int, polygons: list[list[tuple[float, float]]]
) -> None:
    with TemporaryDirectory() as name:
        _, grid = grid_of(Path(name), orientation_of(angles), positions=(0, 5, 10, 17), tilt_deg=tilt)
        drawn = [outline(grid, place, polygon) for polygon in polygons]
        mask = read_rtstruct(structure_set(Path(name) / "set.dcm", [("GTV", drawn)]), grid)
    found, elsewhere = mask.labels[:, :, place], np.delete(mask.labels, place, axis=2)
    for x in range(8):
        for y in range(6):
            if not any(doubtful(x, y, polygon) for polygon in polygons):
                assert found[x, y] == sum(inside(x, y, polygon) for polygon in polygons) % 2
    assert not elsewhere.any()
    assert mask.regions == (Region(1, "GTV", int(found.sum())),)


def test_holes_as_a_second_outline_and_by_a_keyhole_are_the_same(tmp_path: Path) -> None:
    _, grid = grid_of(tmp_path, AXIAL)
    keyhole = [*SQUARE, SQUARE[0], HOLE[0], HOLE[3], HOLE[2], HOLE[1], HOLE[0], SQUARE[0]]
    two = [outline(grid, 2, SQUARE), outline(grid, 2, HOLE)]
    for index, (outlines, kind) in enumerate(
        [(two, "CLOSED_PLANAR"), (two, "CLOSEDPLANAR_XOR"), ([outline(grid, 2, keyhole)], "CLOSED_PLANAR")]
    ):
        mask = read_rtstruct(structure_set(tmp_path / f"{index}.set", [("ring", outlines)], kind=kind), grid)
        found = {tuple(voxel) for voxel in np.argwhere(mask.labels).tolist()}
        assert found == {(x, y, 2) for x in range(2, 6) for y in range(1, 4)} - {(3, 2, 2), (4, 2, 2)}


def test_regions_are_chosen_by_name_and_overlaps_are_told(tmp_path: Path) -> None:
    _, grid = grid_of(tmp_path, AXIAL)
    lesions = [("Skin", [outline(grid, 0, SQUARE)]), ("GTV 1", [outline(grid, 1, SQUARE)])]
    path = structure_set(tmp_path / "set", [*lesions, ("GTV 2", [outline(grid, 1, HOLE)])])
    assert region_names(open_image(path)) == {1: "Skin", 2: "GTV 1", 3: "GTV 2"}
    assert referenced_series(open_image(path)) == (SERIES,)
    mask = read_rtstruct(path, grid, lambda name: name.startswith("GTV"))
    assert mask.regions == (Region(2, "GTV 1", 12), Region(3, "GTV 2", 2))
    assert np.unique(mask.labels).tolist() == [0, 2]
    assert mask.notes == ("2 voxels belong to several regions; the first of them keeps each",)


def test_points_and_outlines_too_small_for_a_voxel_are_told(tmp_path: Path) -> None:
    _, grid = grid_of(tmp_path, AXIAL)
    tiny = outline(grid, 1, [(2.2, 2.2), (2.8, 2.2), (2.8, 2.8)])
    small = read_rtstruct(structure_set(tmp_path / "small", [("met", [tiny])]), grid)
    assert small.notes == ("small, region 1 'met': its outlines enclose no voxel's centre",)
    points = read_rtstruct(structure_set(tmp_path / "points", [("met", [tiny])], kind="POINT"), grid)
    assert points.notes == ("points, region 1 'met': 1 POINT contours enclose nothing",)
    nothing = read_rtstruct(structure_set(tmp_path / "nothing", [("met", [])]), grid)
    assert nothing.notes == ("nothing, region 1 'met': it has no contours",)
    assert not small.labels.any()
    assert not points.labels.any()


def test_what_was_drawn_elsewhere_is_refused(tmp_path: Path) -> None:
    datasets, grid = grid_of(tmp_path / "series", AXIAL)
    square = outline(grid, 1, SQUARE)
    leaning = square + np.outer([0, 0, 1, 1], (0, 0, 5))
    for name, points, words in (
        (
            "between",
            np.add(square, (0, 0, 2)),
            r"contour 1 lies 0.40 slices away from slice 2; it was drawn on another grid",
        ),
        ("leaning", leaning, "contour 1 leans from slice 2 to 3"),
        ("above", np.add(square, (0, 0, 12)), "lies 0.40 slices away from slice 4"),
        ("line", square[:2], "6 coordinates; an outline has three for each of at least 3 points"),
        ("nan", square * np.nan, "0 coordinates"),
    ):
        with pytest.raises(UnusableMask, match=words):
            read_rtstruct(structure_set(tmp_path / name, [("GTV", [points])]), grid)
    with pytest.raises(UnusableMask, match=r"frame of reference 1\.2\.3, the series of"):
        read_rtstruct(structure_set(tmp_path / "other", [("GTV", [square])], space="1.2.3"), grid)
    datasets[0].save_as(tmp_path / "image")
    with pytest.raises(UnusableMask, match="no RT Structure Set"):
        read_rtstruct(tmp_path / "image", grid)
    (tmp_path / "text").write_text("no DICOM")
    with pytest.raises(UnreadableImage):
        read_rtstruct(tmp_path / "text", grid)
