"""Geometry of stacks: known numbers, and properties over any orientation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bundles.common import geometry as g

AXIAL = g.StackGeometry(6, 8, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.8, 0.5), ((0, 0, 0), (0, 0, 5), (0, 0, 10)), "axial")


@st.composite
def stacks(draw: st.DrawFn) -> g.StackGeometry:
    rotation = Rotation.from_euler("xyz", draw(st.tuples(*[st.floats(-180, 180)] * 3)), degrees=True).as_matrix()
    spacing = draw(st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)))
    step = draw(st.floats(0.3, 12))
    lean = draw(st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)))
    start = np.asarray(draw(st.tuples(*[st.floats(-500, 500)] * 3)))
    direction = rotation @ np.asarray((*lean, 1.0)) * step
    origins = tuple(tuple(map(float, start + direction * k)) for k in range(draw(st.integers(2, 12))))
    normal = rotation[:, 2]
    return g.StackGeometry(7, 9, tuple(rotation[:, 0]), tuple(rotation[:, 1]), spacing, origins, g.plane_of(normal))


def test_axial_stack() -> None:
    assert g.slice_normal(AXIAL).tolist() == [0, 0, 1]
    assert g.positions_mm(AXIAL).tolist() == [0, 5, 10]
    assert g.spacing_mm(AXIAL) == 5
    assert g.extent_mm(AXIAL) == 15
    assert g.tilt_deg(AXIAL) == 0
    assert g.shear(AXIAL) == (0, 0)
    assert g.affine(AXIAL).tolist() == [[0.5, 0, 0, 0], [0, 0.8, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1]]


def test_single_slice_takes_the_given_thickness() -> None:
    single = replace(AXIAL, origins=((1, 2, 3),))
    assert g.spacing_mm(single) is None
    assert g.extent_mm(single) == 0
    assert g.tilt_deg(single) == 0
    assert g.affine(single, 4.0)[:3, 2].tolist() == [0, 0, 4]


def test_the_extent_reaches_half_a_gap_beyond_either_end() -> None:
    uneven = replace(AXIAL, origins=((0, 0, 0), (0, 0, 4), (0, 0, 8), (0, 0, 15)))
    assert g.extent_mm(uneven) == 15 + 2 + 3.5


@pytest.mark.parametrize(
    ("normal", "plane"),
    [((0, 0, 1), "axial"), ((0, 0, -1), "axial"), ((0, -1, 0.2), "coronal"), ((0.9, 0.1, 0.3), "sagittal")],
)
def test_plane(normal: tuple[float, ...], plane: str) -> None:
    assert g.plane_of(normal) == plane


@given(stacks(), st.integers(0, 6), st.integers(0, 8))
def test_affine_agrees_with_the_equation_of_the_standard(stack: g.StackGeometry, row: int, column: int) -> None:
    for k in range(len(stack.origins)):
        assert g.affine(stack) @ (column, row, k, 1) == pytest.approx([*g.point(stack, k, row, column), 1], abs=1e-6)


@given(stacks())
def test_tilt_is_the_angle_of_the_shear(stack: g.StackGeometry) -> None:
    assert np.tan(np.radians(g.tilt_deg(stack))) == pytest.approx(np.hypot(*g.shear(stack)), abs=1e-6)
    assert g.gaps_mm(stack) == pytest.approx(np.full(len(stack.origins) - 1, g.spacing_mm(stack)), abs=1e-6)


@given(stacks())
def test_ras_is_its_own_inverse(stack: g.StackGeometry) -> None:
    matrix = g.affine(stack)
    assert g.to_ras(g.to_ras(matrix)).tolist() == matrix.tolist()
    assert g.to_ras(matrix)[:2].tolist() == (-matrix[:2]).tolist()
