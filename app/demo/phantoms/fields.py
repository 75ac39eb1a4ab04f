"""Seeded random streams, and smooth random fields on a regular grid that do not depend on how fine the grid is."""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_LOW_MM = (-82.0, -116.0, -90.0)
_EXTENT_MM = (172.0, 232.0, 180.0)
_SPLINE_DEVIATION = 0.33  # of a cubic B-spline field with standard normal coefficients, averaged over a cell


def stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for each purpose, so that a new purpose never changes the numbers of the others."""
    return np.random.default_rng([seed, crc32(name.encode())])


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid in the head's frame: axes (z, y, x) of the array; x to the left, y to the back, z to the top.

    Attributes:
        origin_mm: Position of voxel (0, 0, 0) as (z, y, x).
        pitch_mm: Distance of neighbours, the same along every axis.
        shape: Voxels along (z, y, x).
    """

    origin_mm: tuple[float, float, float]
    pitch_mm: float
    shape: tuple[int, int, int]

    def axis(self, index: int) -> Array:
        """Positions along one array axis, mm."""
        return (self.origin_mm[index] + self.pitch_mm * np.arange(self.shape[index])).astype(np.float32)

    def window(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[slice, slice, slice]:
        """The part of the grid between two corners given as (z, y, x) in mm, at least one voxel along each axis."""
        parts = []
        for index in range(3):
            first = int(np.floor((low[index] - self.origin_mm[index]) / self.pitch_mm))
            last = int(np.ceil((high[index] - self.origin_mm[index]) / self.pitch_mm)) + 1
            first = min(max(first, 0), self.shape[index] - 1)
            parts.append(slice(first, max(min(last, self.shape[index]), first + 1)))
        return parts[0], parts[1], parts[2]


def head_grid(pitch_mm: float) -> Grid:
    """The grid on which a head is drawn: 180 × 232 × 172 mm around the middle of the brain."""
    shape = tuple(int(np.ceil(length / pitch_mm)) + 1 for length in _EXTENT_MM)
    return Grid(_LOW_MM, pitch_mm, (shape[0], shape[1], shape[2]))


def _basis(positions: Array, low: float, spacing: float, count: int) -> Array:
    """Cubic B-spline basis, (positions, coefficients)."""
    distance = np.abs((positions[:, None] - low) / spacing - (np.arange(count)[None, :] - 1.0))
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)


def smooth_field(rng: np.random.Generator, grid: Grid, spacing_mm: float) -> Array:
    """A smooth random field with zero mean and a standard deviation of about 1.

    Args:
        rng: Draws the spline's coefficients; their number does not depend on the grid's pitch.
        grid: Where to evaluate.
        spacing_mm: Distance of the spline's knots: blobs come out about twice as wide.

    Returns:
        Shape of the grid, float32.
    """
    counts = [int(np.ceil((extent + 3.0) / spacing_mm)) + 4 for extent in _EXTENT_MM]
    value = rng.standard_normal(counts, dtype=np.float32)
    for index in range(3):
        basis = _basis(grid.axis(index), grid.origin_mm[index], spacing_mm, counts[index])
        value = np.moveaxis(np.tensordot(basis, value, axes=(1, index)), 0, index)
    return np.ascontiguousarray(value / np.float32(_SPLINE_DEVIATION), dtype=np.float32)


def cover(distance: NDArray[np.floating[Any]], width: float) -> Array:
    """How much of a voxel lies inside a surface, 0 to 1, from the signed distance (negative inside)."""
    return np.asarray(np.clip(0.5 - distance / np.float32(width), 0, 1), dtype=np.float32)
