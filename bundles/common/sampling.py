"""Sampling of a volume on regular grids along its own axes, by position in millimetres. Needs numpy, never torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Positions = NDArray[np.float64]

MAX_POINTS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Regular grid along one axis: centres of its voxels, and their size.

    Attributes:
        low, high: Outer faces, millimetres.
        count: Voxels between them.
    """

    low: float
    high: float
    count: int

    @property
    def step(self) -> float:
        """Size of one voxel, millimetres."""
        return (self.high - self.low) / self.count

    @property
    def centres(self) -> Positions:
        """(count,) centres of the voxels."""
        return (self.low + (np.arange(self.count) + 0.5) * self.step).astype(np.float64)


Grids = tuple[Grid, Grid, Grid]


def sampling_weights(source: Positions, grid: Grid, *, clamp: bool) -> Floats:
    """Weights (grid.count, len(source)) that average linear interpolation over every grid voxel's extent.

    Linear interpolation at the true source positions serves variable spacing; averaging over the extent of the target
    voxel keeps finer sources from aliasing. Where the grid leaves the source by more than half its spacing the weights
    are zero, or, with `clamp`, those of the nearest source sample.
    """
    if len(source) == 1:
        near = np.abs(grid.centres - source[0]) <= grid.step / 2
        return np.asarray((np.ones_like(near) if clamp else near)[:, None], dtype=np.float32)
    spacing = np.diff(source)
    points = int(np.clip(np.ceil(grid.step / spacing.min()), 1, MAX_POINTS))
    offsets = ((np.arange(points) + 0.5) / points - 0.5) * grid.step
    places = (grid.centres[:, None] + offsets).ravel()
    outside = (places < source[0] - spacing[0] / 2) | (places > source[-1] + spacing[-1] / 2)
    places = np.clip(places, source[0], source[-1])
    left = np.clip(np.searchsorted(source, places, side="right") - 1, 0, len(source) - 2)
    fraction = (places - source[left]) / spacing[left]
    share = np.where(outside & (not clamp), 0.0, 1.0 / points)
    rows = np.repeat(np.arange(grid.count), points)
    weights = np.zeros((grid.count, len(source)))
    np.add.at(weights, (rows, left), share * (1 - fraction))
    np.add.at(weights, (rows, left + 1), share * fraction)
    return weights.astype(np.float32)


def span(weights: Floats) -> tuple[int, int]:
    """First and last + 1 of the source samples that have any weight; (0, 0) where none has."""
    used = np.flatnonzero(weights.any(axis=0))
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)


def interpolation(grid: Grid, source: Positions) -> Floats:
    """Weights (len(source), grid.count) that interpolate a grid's values linearly at source positions.

    Half a voxel beyond its first and last centre the grid keeps their values; farther out the weights are 0.
    """
    places = (source - grid.low) / grid.step - 0.5
    weights = np.zeros((len(source), grid.count), np.float32)
    inside = (places >= -0.5) & (places <= grid.count - 0.5)
    clipped = np.clip(places, 0, grid.count - 1)
    left = np.clip(np.floor(clipped).astype(int), 0, max(0, grid.count - 2))
    right = np.minimum(left + 1, grid.count - 1)
    share = (clipped - left).astype(np.float32)
    index = np.arange(len(source))
    np.add.at(weights, (index, left), (1 - share) * inside)
    np.add.at(weights, (index, right), share * inside)
    return weights


def grid_rows(grids: Grids) -> Positions:
    """Grids as (3, 3): low, high, count of each axis; what a cache and a batch can hold."""
    return np.array([[grid.low, grid.high, grid.count] for grid in grids], dtype=np.float64)


def grids_of(rows: ArrayLike) -> Grids:
    """Undo `grid_rows`."""
    first, second, third = (Grid(float(low), float(high), int(count)) for low, high, count in np.asarray(rows))
    return first, second, third
