"""Sampling goes by true positions: shear undone, variable spacing exact, axes towards the patient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.sampling import Grid, sampling_weights
from bundles.head_ct_hemorrhage.scripts.volume import resample, volume_from_stack

AXIAL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
CORONAL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
SAGITTAL = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])


def linear(points: np.ndarray) -> np.ndarray:
    return points @ np.array([1.0, -2.0, 3.0]) + 40


def stack(origins: np.ndarray, directions: np.ndarray, rows: int, columns: int, mm: float) -> np.ndarray:
    steps = np.arange(max(rows, columns)) * mm
    return linear(
        origins[:, None, None]
        + steps[:rows][None, :, None, None] * directions[1]
        + steps[:columns][None, None, :, None] * directions[0]
    ).astype(np.float32)


@given(st.lists(st.floats(0.5, 9), min_size=2, max_size=30), st.integers(1, 60), st.floats(0, 0.3), st.floats(0.7, 1))
def test_a_linear_ramp_is_reproduced_at_any_spacing(steps: list[float], count: int, low: float, high: float) -> None:
    source = np.concatenate([[0], np.cumsum(steps)])
    grid = Grid(low * source[-1], high * source[-1], count)
    weights = sampling_weights(source, grid, clamp=False)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(weights @ source, grid.centres, atol=1e-3 * source[-1])


@given(st.lists(st.floats(0.5, 9), min_size=1, max_size=30), st.integers(1, 60))
def test_later_voxels_never_read_from_earlier_sources(steps: list[float], count: int) -> None:
    source = np.concatenate([[0], np.cumsum(steps)])
    weights = sampling_weights(source, Grid(-5, float(source[-1]) + 5, count), clamp=True)
    centres = weights @ np.arange(len(source))
    assert np.all(np.diff(centres) >= -1e-4)


def test_outside_of_the_source_is_nothing_or_the_nearest() -> None:
    source = np.array([0.0, 1.0, 2.0])
    grid = Grid(-3, 5, 8)
    assert sampling_weights(source, grid, clamp=False)[0].tolist() == [0, 0, 0]
    assert sampling_weights(source, grid, clamp=True)[0].tolist() == [1, 0, 0]
    assert sampling_weights(source, grid, clamp=True)[-1].tolist() == [0, 0, 1]


@pytest.mark.parametrize("tilt_deg", [0.0, 18.5, -25.0])
def test_shear_of_a_tilted_gantry_is_undone(tilt_deg: float) -> None:
    angle = np.deg2rad(tilt_deg)
    directions = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(angle), -np.sin(angle)]])
    heights = np.array([0.0, 4, 8, 12, 15, 22, 29])
    origins = np.stack([np.zeros(7), np.zeros(7), heights], axis=1) - directions.sum(axis=0) * 30
    volume = volume_from_stack(stack(origins, directions, 31, 31, 2.0), origins, directions, (2.0, 2.0))
    heights = volume.frame.positions[0]
    grids = (Grid(heights[0], heights[-1], 9), Grid(-8, 8, 5), Grid(-10, 10, 7))
    normal = np.cross(*directions)
    points = (
        grids[0].centres[:, None, None, None] * normal
        + grids[1].centres[None, :, None, None] * directions[1]
        + grids[2].centres[None, None, :, None] * directions[0]
    )
    assert np.allclose(resample(volume, grids), linear(points), atol=0.05)


@pytest.mark.parametrize("directions", [AXIAL, -AXIAL, AXIAL[::-1], CORONAL, SAGITTAL, AXIAL * [[-1], [1]]])
def test_any_stack_is_turned_towards_the_patient(directions: np.ndarray) -> None:
    normal = np.cross(*directions)
    origins = np.arange(6)[::-1, None] * 3.0 * normal + np.array([5.0, -7.0, 11.0])
    volume = volume_from_stack(stack(origins, directions, 8, 9, 1.5), origins, directions, (1.5, 1.5))
    places, shifts = volume.frame.positions, volume.frame.shifts
    assert all(np.all(np.diff(each) > 0) for each in places)
    assert np.allclose(shifts, shifts[0])
    moved = [each + shift for each, shift in zip(places, shifts[0], strict=True)]
    expected = linear(np.stack(np.meshgrid(*moved, indexing="ij"), -1)[..., ::-1])
    assert np.allclose(volume.hu, expected, atol=1e-3)


def test_source_index_survives_sorting_and_flipping() -> None:
    origins = np.array([[0.0, 0, 6], [0, 0, 0], [0, 0, 3]])
    hu = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 4, 4), np.float32)
    volume = volume_from_stack(hu, origins, AXIAL, (1.0, 1.0))
    assert volume.frame.source.tolist() == [1, 2, 0]
    assert volume.hu[:, 0, 0].tolist() == [1, 2, 0]
    turned = volume_from_stack(hu, origins, AXIAL[::-1], (1.0, 1.0))
    assert turned.frame.source.tolist() == [1, 2, 0]


@pytest.mark.parametrize(("directions", "axis"), [(AXIAL, 0), (CORONAL, 1), (SAGITTAL, 2)])
def test_slices_lie_along_the_axis_of_their_acquisition(directions: np.ndarray, axis: int) -> None:
    origins = np.arange(4)[:, None] * np.cross(*directions)
    assert volume_from_stack(np.zeros((4, 5, 6), np.float32), origins, directions, (1.0, 1.0)).frame.axis == axis


def test_slices_in_one_place_are_refused() -> None:
    origins = np.array([[0.0, 0, 0], [0, 0, 5], [0, 0, 5]])
    with pytest.raises(ValueError, match="same place"):
        volume_from_stack(np.zeros((3, 4, 4), np.float32), origins, AXIAL, (1.0, 1.0))


@pytest.mark.parametrize(("gap_mm", "count"), [(0.6, 250), (1.25, 120), (5.0, 30)])
def test_slabs_are_averaged_and_no_slice_is_skipped(gap_mm: float, count: int) -> None:
    """A box slice of 3.75 mm holds the mean of the thin slices in it: each counts, and noise falls with them."""
    rng = np.random.default_rng(0)
    origins = np.arange(count)[:, None] * np.array([0.0, 0.0, gap_mm])
    volume = volume_from_stack(rng.normal(0, 10, (count, 24, 24)).astype(np.float32), origins, AXIAL, (1.0, 1.0))
    last = (count - 1) * gap_mm
    grids = (Grid(0.0, last, 40), Grid(-0.5, 23.5, 24), Grid(-0.5, 23.5, 24))
    shares = sampling_weights(volume.frame.positions[0], grids[0], clamp=True).sum(axis=0)[2:-2]
    averaged = grids[0].step / gap_mm
    # Every slice counts in proportion to the slab that it stands for.
    assert shares.min() > 0.5 / averaged
    assert shares.max() < 2.0 / averaged
    noise = float(resample(volume, grids, outside=0.0).std())
    assert noise < 10 / np.sqrt(max(1.0, averaged)) * 1.15
    if averaged > 2:
        assert noise < 6
