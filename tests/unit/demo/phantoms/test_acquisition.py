"""Geometry of scans, and what scanning does to Hounsfield units."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.phantoms.acquisition import Acquisition, acquire, acquire_mask, one_slice, sample_acquisition
from app.demo.phantoms.fields import head_grid
from tests.unit.demo.phantoms.conftest import scan


@given(seed=st.integers(0, 10_000))
def test_drawn_acquisitions_keep_their_limits(seed: int) -> None:
    acquisition = sample_acquisition(seed, 256, 70.0)
    assert acquisition == sample_acquisition(seed, 256, 70.0)
    steps = np.diff(acquisition.table_mm)
    assert 1 <= steps.min() <= steps.max() <= 7
    assert abs(acquisition.tilt_deg) <= 20
    assert acquisition.table_mm[-1] >= 70


@given(tilt=st.floats(-20, 20), index=st.integers(0, 3), row=st.integers(0, 31), column=st.integers(0, 31))
def test_the_affine_says_what_origins_and_directions_say(tilt: float, index: int, row: int, column: int) -> None:
    acquisition = scan(tilt_deg=tilt)
    by_affine = (acquisition.affine_lps @ [index, row, column, 1])[:3]
    directions = acquisition.column_direction * row + acquisition.row_direction * column
    np.testing.assert_allclose(by_affine, acquisition.origins[index] + acquisition.pixel_mm * directions, atol=1e-9)


def test_a_tilted_stack_is_sheared() -> None:
    acquisition = scan(tilt_deg=20.0)
    normal = np.cross(acquisition.row_direction, acquisition.column_direction)
    step = acquisition.origins[1] - acquisition.origins[0]
    np.testing.assert_allclose(np.degrees(np.arccos(normal @ step / np.linalg.norm(step))), 20)
    np.testing.assert_allclose(acquisition.normal_spacings_mm, 5 * np.cos(np.radians(20)))


def test_two_blocks_change_the_spacing_once_and_have_no_single_affine() -> None:
    acquisition = sample_acquisition(3, 64, 70.0, two_blocks=True)
    assert len(np.unique(np.round(np.diff(acquisition.table_mm), 3))) == 2
    with pytest.raises(ValueError, match="slice spacing varies"):
        _ = acquisition.affine_lps


def _ball(center: tuple[float, float, float], pitch: float = 2.0) -> np.ndarray:
    grid = head_grid(pitch)
    z, y, x = grid.axis(0)[:, None, None], grid.axis(1)[None, :, None], grid.axis(2)[None, None, :]
    inside = (x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2 < 12**2
    return inside.astype(np.float32)


@pytest.mark.parametrize("tilt", [0.0, 18.0])
@pytest.mark.parametrize("two_blocks", [False, True])
def test_a_point_of_the_head_appears_where_geometry_says(tilt: float, two_blocks: bool) -> None:
    table = tuple(float(z) for z in (*range(-40, 0, 3), *range(0, 60, 6))) if two_blocks else tuple(range(-40, 60, 4))
    acquisition = replace(scan(table, tilt, 96), angles_deg=(0, 0, 0), shift_mm=(4.0, -6.0, 3.0), thickness_mm=3.0)
    mask = acquire_mask({1: _ball((20.0, 10.0, 15.0))}, head_grid(2.0), acquisition)
    index = np.argwhere(mask == 1)
    weights = acquisition.normal_spacings_mm[index[:, 0]]
    points = acquisition.origins[index[:, 0]] + acquisition.pixel_mm * (
        index[:, [1]] * acquisition.column_direction + index[:, [2]] * acquisition.row_direction
    )
    np.testing.assert_allclose(np.average(points, axis=0, weights=weights), [24, 4, 18], atol=1.5)


def _flat(acquisition: Acquisition) -> np.ndarray:
    grid = head_grid(4.0)
    return acquire(np.full(grid.shape, 40.0, dtype=np.float32), grid, acquisition)


def test_noise_has_the_stated_deviation_and_keeps_the_mean() -> None:
    middle = _flat(scan(size=128))[:, 40:88, 40:88]
    assert abs(float(middle.mean()) - 40) < 0.5
    assert abs(float(middle.std()) - 4) < 0.5


def test_the_same_acquisition_gives_the_same_pixels() -> None:
    assert np.array_equal(_flat(scan()), _flat(scan()))


def test_padding_stands_outside_the_circle_alone() -> None:
    volume = _flat(replace(scan(size=64), padding_hu=-2000.0))
    assert int(volume[0, 0, 0]) == -2000
    assert int((volume[0, 32] == -2000).sum()) == 0


def test_one_slice_keeps_the_middle() -> None:
    assert one_slice(scan()).table_mm == (0.0,)
    assert one_slice(scan()).affine_lps.shape == (4, 4)


def test_metal_and_motion_leave_the_geometry_alone() -> None:
    still, restless = _flat(scan(size=64)), _flat(replace(scan(size=64), metal=True, motion_px=5.0, table_visible=True))
    assert still.shape == restless.shape
    assert not np.array_equal(still, restless)
