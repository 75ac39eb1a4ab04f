"""The plane: pixels and millimetres are each other's inverse, and rays through solids have the lengths of geometry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.phantoms.radiographs.plane import Plane, add_ellipsoid, box_of, draw_tube, smooth_noise

planes = st.builds(
    Plane,
    rows=st.integers(8, 40),
    columns=st.integers(8, 40),
    pitch_mm=st.floats(0.2, 3),
    angle_deg=st.floats(-180, 180),
    centre_mm=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    mirrored=st.booleans(),
)


@given(planes)
def test_pixels_undo_the_coordinates(plane: Plane) -> None:
    whole = plane.whole()
    column, row = plane.pixels(whole.x, whole.y)
    rows, columns = np.indices(plane.shape)
    np.testing.assert_allclose(column, columns + 0.5, atol=1e-3)
    np.testing.assert_allclose(row, rows + 0.5, atol=1e-3)


@given(planes, st.floats(-15, 15), st.floats(-15, 15), st.floats(1, 10))
def test_a_window_holds_every_pixel_of_its_rectangle(plane: Plane, x: float, y: float, size: float) -> None:
    whole = plane.whole()
    inside = (np.abs(whole.x - x) <= size) & (np.abs(whole.y - y) <= size)
    window = plane.window((x - size, y - size), (x + size, y + size))
    if window is None:
        assert not inside.any()
        return
    assert inside[window.place].sum() == inside.sum()
    np.testing.assert_allclose(window.x, whole.x[window.place], atol=1e-4)


def test_an_ellipsoid_has_its_volume_whatever_its_turn() -> None:
    plane = Plane(200, 200, 0.5, angle_deg=33.0)
    out = np.zeros(plane.shape, dtype=np.float32)
    add_ellipsoid(plane, out, (3, -5), (20, 10, 7), 1.0, 25)
    assert float(out.sum()) * plane.pitch_mm**2 == pytest.approx(4 / 3 * np.pi * 20 * 10 * 7, rel=0.01)
    assert float(out.max()) == pytest.approx(14, rel=0.01)


def test_a_tube_is_as_deep_as_it_is_wide_and_joints_do_not_add_up() -> None:
    plane = Plane(100, 100, 0.5)
    out = np.zeros(plane.shape, dtype=np.float32)
    draw_tube(plane, out, [(-15, 0), (0, 0), (15, 0)], 4.0)
    assert float(out.max()) == pytest.approx(8, rel=0.02)
    assert float(out[:, 50].sum()) * 0.5 == pytest.approx(np.pi * 16, rel=0.03)


def test_boxes_count_edges() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:4, 3:7] = True
    assert box_of(mask) == (3.0, 2.0, 7.0, 4.0)
    assert box_of(mask, (10, 20)) == (23.0, 12.0, 27.0, 14.0)
    assert box_of(np.zeros((3, 3), dtype=bool)) is None


def test_noise_does_not_depend_on_the_pitch() -> None:
    fine = smooth_noise(np.random.default_rng(1), Plane(200, 200, 1.0), 20.0)
    coarse = smooth_noise(np.random.default_rng(1), Plane(100, 100, 2.0), 20.0)
    np.testing.assert_allclose(fine.reshape(100, 2, 100, 2).mean(axis=(1, 3)), coarse, atol=0.02)
    assert 0.6 < float(fine.std()) < 1.5
