"""A stack of any orientation as axial slices, on a grid of set spacing, and back to the voxels it came from.

Reorienting is a transposition and flips, nothing else: the array's axes become those of the patient that they are
nearest to. It therefore has an exact inverse. An oblique head stays oblique by what is left of its angles. All that is
interpolated is along these axes, one after the other.

`axial` arrays are (slices inferior → superior, rows anterior → posterior, columns right → left of the patient).
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from monai.data import MetaTensor
from numpy.typing import NDArray

from bundles.common.sampling import Floats, Grids, Positions, sampling_weights, span

RAS_OF_AXIAL = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Directions in RAS of the axes of an axial array: superior, posterior, left."""

BLOCK = 8
"""Slices that are resampled at a time."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """Which axis of a source array (columns, rows, slices) is which of the axial array, and which are turned.

    Attributes:
        axes: Of the source, for the slices, rows and columns of the axial array.
        flipped: Whether each runs the other way.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def view(self, source: NDArray[Any]) -> NDArray[Any]:
        """The axial view of a source array: no copy, and writing into it writes into the source."""
        turned = source.transpose(self.axes)
        return turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flipped)]

    @property
    def source_axis(self) -> int:
        """Axis of the axial array along which the source's own slices lie: 0 for an axial stack."""
        return self.axes.index(2)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A source stack, its orientation and the size of its voxels.

    Attributes:
        values: (columns, rows, slices) as read.
        affine: Index to RAS millimetres.
        orientation: From it to the axial array.
        spacing_mm: Of the axial array's axes.
    """

    values: Floats
    affine: Positions
    orientation: Orientation
    spacing_mm: tuple[float, float, float]

    @property
    def axial(self) -> Floats:
        """The axial view of the values."""
        return self.orientation.view(self.values)

    @property
    def positions(self) -> tuple[Positions, Positions, Positions]:
        """Of the axial array's samples along its axes, millimetres from the first."""
        slices, rows, columns = (
            np.arange(count) * step for count, step in zip(self.axial.shape, self.spacing_mm, strict=True)
        )
        return slices, rows, columns


def stack_of(image: MetaTensor) -> Stack:
    """What `LoadImaged` with `bundles.common.monai_reader.SeriesReader` gives, as a stack.

    Raises:
        ValueError: It has no three axes, or no volume.
    """
    if image.ndim != 3:
        raise ValueError(f"expected one stack (columns, rows, slices), got shape {tuple(image.shape)}")
    affine = np.asarray(image.affine, dtype=np.float64)
    orientation, spacing = orientation_of(affine)
    return Stack(np.asarray(image, dtype=np.float32), affine, orientation, spacing)


def orientation_of(affine: Positions) -> tuple[Orientation, tuple[float, float, float]]:
    """How a source lies to the patient, by its affine to RAS; and its spacing along the axial array's axes.

    Of the six ways to assign axes the one with the largest sum of cosines is taken, so that no patient axis is taken
    twice however oblique the source is.

    Raises:
        ValueError: The affine has no volume.
    """
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise ValueError("the image has no place in the patient: its affine has no volume")
    cosines = RAS_OF_AXIAL @ (affine[:3, :3] / lengths)
    best = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[n, axis]) for n, axis in enumerate(axes)))
    first, second, third = best
    flips = [bool(cosines[n, axis] < 0) for n, axis in enumerate(best)]
    spacing = [float(lengths[axis]) for axis in best]
    return (
        Orientation((first, second, third), (flips[0], flips[1], flips[2])),
        (spacing[0], spacing[1], spacing[2]),
    )


def resample(stack: Stack, grids: Grids, outside: float = 0.0) -> Floats:
    """Values on a grid, `outside` where the source has none; some slices at a time, so that little memory is needed.

    Source voxels smaller than those of the grid are averaged, larger ones interpolated linearly.

    Returns:
        (slices, rows, columns) float32, C-ordered.
    """
    along = [sampling_weights(places, grid, clamp=False) for places, grid in zip(stack.positions, grids, strict=True)]
    (r0, r1), (c0, c1) = span(along[1]), span(along[2])
    rows, columns = along[1][:, r0:r1], along[2][:, c0:c1].T
    result = np.full([grid.count for grid in grids], outside, np.float32)
    used = stack.axial[:, r0:r1, c0:c1]
    for start in range(0, grids[0].count, BLOCK):
        weights = along[0][start : start + BLOCK]
        first, last = span(weights)
        if last > first and r1 > r0 and c1 > c0:
            # Copied in the order of memory: slices of an array that lies otherwise are slow to read one by one.
            block = np.ascontiguousarray(used[first:last]) - np.float32(outside)
            planes = np.tensordot(weights[:, first:last], block, axes=1)
            result[start : start + BLOCK] += rows @ planes @ columns
    return result
