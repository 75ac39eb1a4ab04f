"""A CT stack in its own gantry frame, and sampling of it on regular grids at true positions.

The frame has three orthogonal axes: the slices' normal, rows and columns, each named after the patient axis that it is
nearest to and turned so that `w` runs from inferior to superior, `v` from anterior to posterior and `u` from the
patient's right to the left. The source's slices lie along one of them: `w` for an axial acquisition, `v` for a coronal
one, `u` for a sagittal one. A tilted gantry moves every slice within its plane while the table moves along the patient;
that shear is kept as a shift for every slice and undone by sampling. Slice spacing may vary: all sampling goes by
position.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundles.common.sampling import Floats, Grids, Positions, interpolation, sampling_weights, span

AIR_HU = -1000.0
DEPTH, ROWS, COLUMNS = 0, 1, 2
"""Of the frame: along `w`, `v` and `u`."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where the voxels of a stack lie in its gantry frame, millimetres.

    Attributes:
        positions: Along `w`, `v` and `u`, of the unshifted slices' voxels, strictly increasing.
        axis: Of the frame, along which the source's slices lie: 0 axial, 1 coronal, 2 sagittal.
        shifts: (slices, 3) displacement of every slice along `w`, `v` and `u`, 0 along `axis`; in the order of `axis`.
        source: (slices,) index of every slice in the stack as it was read; in the order of `axis`.
        axes: Which axis of the read array (slices, rows, columns) lies along `w`, `v` and `u`.
        flipped: Which of these run the other way there.
    """

    positions: tuple[Positions, Positions, Positions]
    axis: int
    shifts: Positions
    source: NDArray[np.intp]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def view(self, stack: NDArray[Any]) -> NDArray[Any]:
        """A read array (slices, rows, columns) in the order of the frame; no copy where slices were read in order."""
        in_order = np.all(np.diff(self.source) == 1)
        ordered = stack if in_order else stack[::-1] if self._backwards else np.take(stack, self.source, axis=0)
        turns = [slice(None, None, -1) if flip else slice(None) for flip in self.flipped]
        turns[self.axis] = slice(None)
        return np.asarray(ordered.transpose(self.axes)[tuple(turns)])

    @property
    def in_plane(self) -> tuple[int, int]:
        """The frame's axes within a slice."""
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second

    @property
    def _backwards(self) -> bool:
        return bool(np.all(np.diff(self.source) == -1))

    def extent(self, axis: int) -> tuple[float, float]:
        """Lowest and highest position along an axis, shifts counted in."""
        places, shifts = self.positions[axis], self.shifts[:, axis]
        return float(places[0] + shifts.min()), float(places[-1] + shifts.max())


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels and where they lie.

    Attributes:
        hu: Hounsfield units along `w`, `v` and `u`; possibly a view of the array that was read.
        frame: Where.
    """

    hu: Floats
    frame: Frame


def volume_from_stack(hu: Floats, origins: Positions, directions: Positions, spacing_mm: tuple[float, float]) -> Volume:
    """Put a stack of parallel slices into its gantry frame.

    Args:
        hu: (slices, rows, columns) as read.
        origins: (slices, 3) centre of the first pixel of every slice, LPS millimetres.
        directions: (2, 3) unit vectors in LPS along increasing column index and along increasing row index
            (ImageOrientationPatient).
        spacing_mm: Between rows, between columns (PixelSpacing).

    Raises:
        ValueError: Slices lie on top of each other, or are too oblique.
    """
    frame = frame_of((hu.shape[0], hu.shape[1], hu.shape[2]), origins, directions, spacing_mm)
    return Volume(frame.view(hu), frame)


def frame_of(
    shape: tuple[int, int, int], origins: Positions, directions: Positions, spacing_mm: tuple[float, float]
) -> Frame:
    """The gantry frame of a stack (slices, rows, columns); the other arguments as in `volume_from_stack`.

    Raises:
        ValueError: Slices lie on top of each other, or are too oblique.
    """
    along_columns, along_rows = directions
    normal = np.cross(along_columns, along_rows)
    heights = origins @ normal
    order = np.argsort(heights, kind="stable")
    if len(heights) > 1 and np.diff(heights[order]).min() < 1e-3:
        raise ValueError("two slices of the stack lie at the same place; a head CT needs distinct slices")
    steps = (np.arange(count, dtype=np.float64) * step for count, step in zip(shape[1:], spacing_mm, strict=True))
    own: tuple[Positions, ...] = (heights[order], *steps)
    moves = np.stack((np.zeros(len(order)), origins[order] @ along_rows, origins[order] @ along_columns), axis=1)
    axes, flipped = _towards_patient(np.stack((normal, along_rows, along_columns)))
    axis = axes.index(0)
    shifts, source = moves[:, axes] * np.where(flipped, -1.0, 1.0), order
    if flipped[axis]:
        shifts, source = shifts[::-1], order[::-1]
    w, v, u = (-own[each][::-1] if flip else own[each] for each, flip in zip(axes, flipped, strict=True))
    return Frame((w, v, u), axis, shifts, source, axes, flipped)


def _towards_patient(directions: Positions) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which of the array's axes lie along S, P and L (LPS: z, y, x), and which run against them.

    Args:
        directions: (3, 3) unit vectors in LPS of the normal, along rows, along columns.
    """
    nearest = [int(np.argmax(np.abs(directions[:, patient]))) for patient in (2, 1, 0)]
    if sorted(nearest) != [0, 1, 2]:
        raise ValueError("the slices are too oblique to the patient to say which are axial")
    against = [bool(directions[axis, patient] < 0) for axis, patient in zip(nearest, (2, 1, 0), strict=True)]
    return (nearest[0], nearest[1], nearest[2]), (against[0], against[1], against[2])


def resample(volume: Volume, grids: Grids, outside: float = AIR_HU) -> Floats:
    """Values on a grid of the gantry frame, (depth, rows, columns); shear undone, `outside` where none were read.

    Separable: within every slice by two matrix products, then along the slices. What is finer than the grid is averaged
    over its voxels, so that thin slices lose their noise and none is skipped. Along `w` the grid may reach to the outer
    faces of the stack, where the last sample counts; along the others the outside is empty.
    """
    frame = volume.frame
    axis, (first, second) = frame.axis, frame.in_plane
    along = sampling_weights(frame.positions[axis], grids[axis], clamp=axis == DEPTH)
    used = np.flatnonzero(along.any(axis=0))
    planes = np.empty((len(used), grids[first].count, grids[second].count), np.float32)
    slices = np.moveaxis(volume.hu, axis, 0)

    @cache
    def weights(each: int, shift: float) -> Floats:
        """Of an axis within a slice; slices that are not sheared share them."""
        return sampling_weights(frame.positions[each] + shift, grids[each], clamp=each == DEPTH)

    for number, index in enumerate(used):
        rows, columns = (weights(each, float(frame.shifts[index, each])) for each in (first, second))
        (r0, r1), (c0, c1) = span(rows), span(columns)
        pixels = slices[index, r0:r1, c0:c1] - np.float32(outside)
        np.matmul(rows[:, r0:r1], pixels @ columns[:, c0:c1].T, out=planes[number])
    sampled = along[:, used] @ planes.reshape(len(used), -1) + np.float32(outside)
    shaped = sampled.reshape(grids[axis].count, grids[first].count, grids[second].count)
    return np.ascontiguousarray(np.moveaxis(shaped, 0, axis))


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What a grid gives for a part of one source slice.

    Attributes:
        index: Of the slice along the frame's `axis`.
        rows, columns: Of the slice in the frame's order (`Frame.in_plane`).
        values: For each given array, (rows, columns).
    """

    index: int
    rows: slice
    columns: slice
    values: tuple[Floats, ...]


def back_to_slices(frame: Frame, grids: Grids, values: tuple[Floats, ...], wanted: NDArray[np.bool_]) -> list[Patch]:
    """Interpolate arrays on a grid linearly at the voxels of a stack, where these read any wanted voxel of the grid.

    Args:
        frame: Of the stack.
        grids: Of the arrays.
        values: Arrays (depth, rows, columns) on the grid.
        wanted: (depth, rows, columns): elsewhere nothing is computed.

    Returns:
        One patch for every slice that reads a wanted voxel; the others read none.
    """
    axis, (first, second) = frame.axis, frame.in_plane
    moved = [np.moveaxis(each, axis, 0) for each in values]
    interest = np.moveaxis(wanted, axis, 0)
    along = interpolation(grids[axis], frame.positions[axis])
    patches = []
    for index, shares in enumerate(along):
        used = np.flatnonzero(shares)
        flat = np.asarray(interest[used].any(axis=0))
        if not flat.any():
            continue
        rows, columns = (
            interpolation(grids[each], frame.positions[each] + frame.shifts[index, each]) for each in (first, second)
        )
        r, c = (
            slice(*span(weights[:, needed].T))
            for weights, needed in ((rows, flat.any(axis=1)), (columns, flat.any(axis=0)))
        )
        planes = tuple(rows[r] @ np.tensordot(shares[used], each[used], axes=1) @ columns[c].T for each in moved)
        if planes[0].size:
            patches.append(Patch(index, r, c, planes))
    return patches
