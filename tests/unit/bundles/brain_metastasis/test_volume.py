"""Any orientation becomes axial by turning alone, is sampled as a slow reference says, and comes back exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bundles.brain_metastasis.scripts.volume import (
    Stack,
    orientation_of,
    resample,
    stack_of,
)
from bundles.common.sampling import Grid, grid_rows, grids_of, interpolation

from .conftest import ORIENTATIONS, affine_of, as_read, points_of


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_axial_means_up_back_left(axes, signs):
    shape = (3, 4, 5)
    affine = affine_of(axes, signs, (1.0, 2.0, 3.0), shape)
    points = points_of(affine, shape)
    stack = stack_of(as_read(points[..., 0], affine))
    for axis, (patient, direction) in enumerate(((2, 1), (1, -1), (0, -1))):
        values = stack.orientation.view(points[..., patient])
        steps = np.diff(values, axis=axis) * direction
        assert steps == pytest.approx(stack.spacing_mm[axis])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_oblique_stacks_take_every_patient_axis_once(seed):
    rotation = Rotation.random(random_state=seed).as_matrix()
    affine = affine_of((0, 1, 2), (0, 0, 0), (0.5, 1.0, 2.0), (4, 4, 4), rotation)
    orientation, spacing = orientation_of(affine)
    assert sorted(orientation.axes) == [0, 1, 2]
    assert sorted(spacing) == pytest.approx([0.5, 1.0, 2.0])
    kept = [
        rotation[:, axis] * (-1 if flip else 1)
        for axis, flip in zip(orientation.axes, orientation.flipped, strict=True)
    ]
    towards = sum(float(a @ b) for a, b in zip(kept, ([0, 0, 1], [0, -1, 0], [-1, 0, 0]), strict=True))
    assert towards >= 1.0


def test_a_grid_on_the_source_is_the_source():
    rng = np.random.default_rng(0)
    shape = (4, 5, 6)
    affine = affine_of((2, 0, 1), (0, 1, 0), (1.5, 1.0, 2.0), shape)
    stack = stack_of(as_read(rng.normal(size=shape), affine))
    grids = tuple(
        Grid(-step / 2, (count - 0.5) * step, count)
        for count, step in zip(stack.axial.shape, stack.spacing_mm, strict=True)
    )
    assert resample(stack, grids) == pytest.approx(stack.axial, abs=1e-5)


def test_a_finer_grid_is_linear_interpolation_and_outside_is_outside():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 3, 3)).astype(np.float32)
    affine = affine_of((0, 1, 2), (1, 1, 0), (1.0, 1.0, 1.0), (3, 3, 3))
    stack = stack_of(as_read(values, affine))
    grids = (Grid(0.25, 0.75, 1), Grid(0.9, 1.1, 1), Grid(-9.0, 3.0, 12))
    found = resample(stack, grids, outside=7.0)
    plane = 0.5 * stack.axial[0, 1] + 0.5 * stack.axial[1, 1]
    expected = [0.5 * (plane[0] + plane[1]), 0.5 * (plane[1] + plane[2])]
    assert found[0, 0, 9:11] == pytest.approx(expected, abs=1e-5)
    assert found[0, 0, :8] == pytest.approx([7.0] * 8)


def test_a_coarser_grid_averages():
    values = np.arange(8, dtype=np.float32).reshape(1, 1, 8).repeat(4, 0).repeat(4, 1)
    affine = affine_of((0, 1, 2), (1, 1, 0), (1.0, 1.0, 1.0), values.shape)
    found = resample(stack_of(as_read(values, affine)), (Grid(1.5, 5.5, 2), Grid(-0.5, 3.5, 1), Grid(-0.5, 3.5, 1)))
    assert found.ravel() == pytest.approx([2.5, 4.5], abs=0.05)


def slow_weight(grid: Grid, place: float) -> dict[int, float]:
    """Linear interpolation by its definition: the two centres around a place share it."""
    index = (place - grid.low) / grid.step - 0.5
    if not -0.5 <= index <= grid.count - 0.5:
        return {}
    index = min(max(index, 0.0), grid.count - 1.0)
    low = int(np.floor(index))
    shares = {low: 1 - (index - low)}
    if index > low:
        shares[low + 1] = index - low
    return shares


@given(st.floats(-20, 20), st.floats(0.3, 3), st.integers(1, 6), st.floats(0.2, 3), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_source_voxels_read_the_grid_linearly(low, step, count, spacing, samples):
    grid = Grid(low, low + step * count, count)
    source = np.arange(samples) * spacing
    weights = interpolation(grid, source)
    for row, place in zip(weights, source, strict=True):
        expected = np.zeros(count)
        for index, share in slow_weight(grid, place).items():
            expected[index] = share
        if abs(((place - grid.low) / grid.step) % grid.count) > 1e-6:
            assert row == pytest.approx(expected, abs=1e-4)


def test_grids_survive_a_cache():
    grids = (Grid(-1.5, 3.5, 5), Grid(0.1, 0.9, 2), Grid(-7.25, 8.0, 3))
    again = grids_of(grid_rows(grids))
    assert [(g.low, g.high, g.count) for g in again] == [(g.low, g.high, g.count) for g in grids]


def test_a_view_writes_into_its_source():
    shape = (2, 3, 4)
    orientation, spacing = orientation_of(affine_of((1, 2, 0), (1, 0, 1), (1, 1, 1), shape))
    source = np.zeros(shape)
    view = Stack(source, np.eye(4), orientation, spacing).axial
    view[...] = np.arange(24).reshape(view.shape)
    assert np.array_equal(np.sort(source.ravel()), np.arange(24))


def test_images_without_a_place_are_refused():
    with pytest.raises(ValueError, match="no volume"):
        orientation_of(np.diag([1.0, 1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="one stack"):
        stack_of(as_read(np.zeros((2, 3)), np.eye(4)))
