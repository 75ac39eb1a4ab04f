"""Seeded streams and smooth fields."""

import numpy as np

from app.demo.phantoms.fields import Grid, cover, head_grid, smooth_field, stream


def test_a_stream_is_the_same_for_the_same_seed_and_purpose() -> None:
    assert stream(4, "skull").random(3).tolist() == stream(4, "skull").random(3).tolist()


def test_streams_of_other_purposes_differ() -> None:
    assert stream(4, "skull").random() != stream(4, "brain").random()


def test_a_field_does_not_depend_on_how_fine_the_grid_is() -> None:
    coarse, fine = head_grid(8.0), head_grid(4.0)
    rough, smooth = (smooth_field(stream(1, "f"), grid, 20.0) for grid in (coarse, fine))
    shared = smooth[::2, ::2, ::2][tuple(slice(0, n) for n in rough.shape)]
    np.testing.assert_allclose(rough[tuple(slice(0, n) for n in shared.shape)], shared, atol=1e-4)


def test_a_field_has_about_unit_deviation() -> None:
    field = smooth_field(stream(2, "f"), head_grid(3.0), 10.0)
    assert 0.85 < float(field.std()) < 1.15


def test_cover_is_half_on_the_surface_and_full_inside() -> None:
    distance = np.array([-5.0, 0.0, 5.0], dtype=np.float32)
    assert cover(distance, 2.0).tolist() == [1.0, 0.5, 0.0]


def test_a_window_holds_its_corners_and_is_never_empty() -> None:
    grid = Grid((0.0, 0.0, 0.0), 2.0, (10, 10, 10))
    assert grid.window((4, 4, 4), (8, 8, 8)) == (slice(2, 5),) * 3
    assert grid.window((90, 90, 90), (95, 95, 95)) == (slice(9, 10),) * 3
