"""The grid of a series: the order and affine of the one reader, and true positions of every slice."""

from pathlib import Path

import numpy as np
import pytest

from bundles.common.geometry import point
from bundles.common.headers import UnreadableImage
from bundles.common.masks.grid import source_grid
from bundles.common.reader import read_stack
from tests.unit.bundles.common.dicom import AXIAL, CORONAL, SAGITTAL, ct_slice, ct_stack, save
from tests.unit.bundles.common.masks.objects import SPACE, orientation_of, series

ORIENTATIONS = {
    "axial": AXIAL,
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "reversed": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "oblique": orientation_of((20, -35, 50)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("tilt", [0.0, 18.5])
def test_the_grid_is_that_of_the_reader(name: str, tilt: float, tmp_path: Path) -> None:
    _, paths = series(tmp_path, ORIENTATIONS[name], (0, 5, 10, 17), tilt)
    grid, stack = source_grid(paths), read_stack(paths)
    assert grid.source_uids == stack.source_uids
    assert grid.shape == stack.array.shape[::-1]
    assert grid.frame_of_reference == SPACE
    np.testing.assert_array_equal(grid.affine_ras, stack.affine_ras)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_points_find_their_voxels_in_a_tilted_stack_of_uneven_spacing(name: str, tmp_path: Path) -> None:
    _, paths = series(tmp_path, ORIENTATIONS[name], (0, 5, 10, 17), 18.5)
    grid = source_grid(paths)
    places = [(i, j, k) for i in range(8) for j in range(6) for k in range(4)]
    points = np.asarray([point(grid.geometry, k, j, i) for i, j, k in places])
    slices, distances = grid.slices_of(points)
    columns, rows = grid.pixels_of(points, slices)
    np.testing.assert_array_equal(slices, [k for _, _, k in places])
    np.testing.assert_allclose(np.column_stack((columns, rows)), [(i, j) for i, j, _ in places], atol=1e-5)
    assert distances.max() < 1e-5


def test_localizers_and_repeated_positions_are_left_out_as_by_the_reader(tmp_path: Path) -> None:
    stack = ct_stack((0, 5, 10, 15))
    again = ct_stack((5, 10), InstanceNumber=40)
    scout = ct_stack(range(9), CORONAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    paths = save(tmp_path, [*scout, *again, *stack])
    assert source_grid(paths).source_uids == read_stack(paths).source_uids
    assert source_grid(paths).shape == (8, 6, 4)


def test_one_slice_has_its_thickness_for_a_gap(tmp_path: Path) -> None:
    _, paths = series(tmp_path, AXIAL, (0,))
    grid = source_grid(paths)
    origin = np.asarray(grid.geometry.origins[0])
    slices, distances = grid.slices_of(np.asarray([origin, np.add(origin, (0, 0, 2.5))]))
    assert (slices.tolist(), distances.tolist()) == ([0, 0], [0.0, 0.5])


def test_several_series_or_no_place_are_refused(tmp_path: Path) -> None:
    two = save(tmp_path / "two", [*ct_stack(), ct_slice(1, series="1.9")])
    with pytest.raises(UnreadableImage, match="several series"):
        source_grid(two)
    with pytest.raises(UnreadableImage, match="no place in the patient"):
        source_grid(save(tmp_path / "nowhere", [ct_slice(ImagePositionPatient=None)]))
    with pytest.raises(UnreadableImage, match="none of the files is an image"):
        source_grid([])
    halves = [*ct_stack(range(3)), *ct_stack(range(3), CORONAL)]
    with pytest.raises(UnreadableImage, match="none larger than all others"):
        source_grid(save(tmp_path / "halves", halves))
    mixed = ct_stack(range(3), FrameOfReferenceUID="1.1")
    mixed[1].FrameOfReferenceUID = "1.2"
    with pytest.raises(UnreadableImage, match="of 2 frames of reference"):
        source_grid(save(tmp_path / "mixed", mixed))
