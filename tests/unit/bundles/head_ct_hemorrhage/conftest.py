"""Heads drawn from a few ellipsoids: enough for finding a brain, fast enough for every test."""

from collections.abc import Callable

import numpy as np
import pytest

from bundles.head_ct_hemorrhage.scripts.volume import Volume, volume_from_stack

AXIAL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def tilted(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.array([[1.0, 0.0, 0.0], [0.0, np.cos(angle), -np.sin(angle)]])


def stack_origins(heights: np.ndarray, directions: np.ndarray, size: int, pixel_mm: float) -> np.ndarray:
    """Slices moved along the table (z) alone, the middle pixel on the z axis: what a CT does."""
    half = (size - 1) / 2 * pixel_mm
    return np.stack([np.array([0, 0, height]) - half * directions.sum(axis=0) for height in heights])


def head_hu(points: np.ndarray) -> np.ndarray:
    """HU at LPS points (..., 3): air, scalp, skull, brain, nested ellipsoids around the origin, cut off by a neck."""
    x, y, z = np.moveaxis(points, -1, 0)

    def inside(grow: float) -> np.ndarray:
        return (x / (66 + grow)) ** 2 + (y / (84 + grow)) ** 2 + (z / (60 + grow)) ** 2 < 1

    hu = np.full(x.shape, -1000.0, np.float32)
    hu[(np.hypot(x, y) < 50) & (z < 0) & (z > -110)] = 45
    for grow, value in ((14, 40), (8, 900), (0, 35)):
        hu[inside(grow)] = value
    return hu


def head_volume(
    heights: np.ndarray, tilt_deg: float = 0.0, size: int = 96, pixel_mm: float = 2.4, extra: Callable | None = None
) -> Volume:
    directions = tilted(tilt_deg)
    origins = stack_origins(heights, directions, size, pixel_mm)
    steps = np.arange(size) * pixel_mm
    in_plane = steps[:, None, None] * directions[1] + steps[None, :, None] * directions[0]
    points = origins[:, None, None, :] + in_plane[None]
    hu = head_hu(points)
    if extra is not None:
        extra(hu, points)
    return volume_from_stack(hu, origins, directions, (pixel_mm, pixel_mm))


@pytest.fixture
def make_head() -> Callable[..., Volume]:
    return head_volume
