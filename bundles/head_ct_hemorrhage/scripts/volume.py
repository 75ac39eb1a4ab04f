"""A CT stack in its own gantry frame, and sampling of it on regular grids at true positions.

The frame has three orthogonal axes: `w` along the slice normal, `v` and `u` along the slices' rows and columns, each
flipped or swapped so that `w` runs from inferior to superior, `v` from anterior to posterior and `u` from the patient's
right to the left. A tilted gantry moves every slice within its plane while the table moves along the patient; that
shear is kept as a shift for every slice and undone by sampling. Slice spacing may vary: all sampling goes by position.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundles.common.sampling import Floats, Grid, Positions, sampling_weights, span

AIR_HU = -1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels and where they lie in the gantry frame, millimetres.

    Attributes:
        hu: (slices, rows, columns), Hounsfield units; slices inferior → superior, rows anterior → posterior, columns
            right → left.
        w: (slices,) height of every slice along the normal, strictly increasing.
        v, u: (rows,) and (columns,) positions within an unshifted slice, strictly increasing.
        shift_v, shift_u: (slices,) in-plane displacement of every slice: a tilted gantry's shear.
        source: (slices,) index of every slice in the stack as it was read; None when the stack was coronal or sagittal
            and its slices are no longer these.
    """

    hu: Floats
    w: Positions
    v: Positions
    u: Positions
    shift_v: Positions
    shift_u: Positions
    source: NDArray[np.intp] | None


def volume_from_stack(hu: Floats, origins: Positions, directions: Positions, spacing_mm: tuple[float, float]) -> Volume:
    """Put a stack of parallel slices into its gantry frame.

    Args:
        hu: (slices, rows, columns) as read.
        origins: (slices, 3) centre of the first pixel of every slice, LPS millimetres.
        directions: (2, 3) unit vectors in LPS along increasing column index and along increasing row index
            (ImageOrientationPatient).
        spacing_mm: Between rows, between columns (PixelSpacing).

    Raises:
        ValueError: Slices lie on top of each other.
    """
    along_columns, along_rows = directions
    normal = np.cross(along_columns, along_rows)
    w, shift_v, shift_u = origins @ normal, origins @ along_rows, origins @ along_columns
    order = np.argsort(w, kind="stable")
    if len(w) > 1 and np.diff(w[order]).min() < 1e-3:
        raise ValueError("two slices of the stack lie at the same place; a head CT needs distinct slices")
    v = np.arange(hu.shape[1], dtype=np.float64) * spacing_mm[0]
    u = np.arange(hu.shape[2], dtype=np.float64) * spacing_mm[1]
    volume = Volume(hu[order], w[order], v, u, shift_v[order], shift_u[order], order)
    return _towards_patient(volume, np.stack((normal, along_rows, along_columns)))


def _towards_patient(volume: Volume, axes: Positions) -> Volume:
    """Swap and flip the array's axes towards S, P and L (LPS: z, y, x); axes: (3, 3) unit vectors of w, v, u."""
    nearest = [int(np.argmax(np.abs(axes[:, patient]))) for patient in (2, 1, 0)]
    if sorted(nearest) != [0, 1, 2]:
        raise ValueError("the slices are too oblique to the patient to say which are axial")
    if nearest[0] != 0:
        volume = _unsheared(volume)
    positions = (volume.w, volume.v, volume.u)
    shifts = (np.zeros_like(volume.w), volume.shift_v, volume.shift_u)
    hu = volume.hu.transpose(nearest)
    places, moves = [positions[axis] for axis in nearest], [shifts[axis] for axis in nearest]
    source = volume.source if nearest[0] == 0 else None
    for axis, patient in enumerate((2, 1, 0)):
        if axes[nearest[axis], patient] < 0:
            hu = np.flip(hu, axis)
            places[axis] = -places[axis][::-1]
            moves[axis] = -moves[axis]
            if axis == 0:
                moves = [move[::-1] for move in moves]
                source = source[::-1] if source is not None else None
    if nearest[0] != 0:
        moves = [np.zeros(hu.shape[0])] * 3
    return Volume(np.ascontiguousarray(hu), places[0], places[1], places[2], moves[1], moves[2], source)


def _unsheared(volume: Volume) -> Volume:
    """Take the mean in-plane displacement of a coronal or sagittal stack into its positions; they have no tilt."""
    return Volume(
        volume.hu,
        volume.w,
        volume.v + volume.shift_v.mean(),
        volume.u + volume.shift_u.mean(),
        np.zeros_like(volume.w),
        np.zeros_like(volume.w),
        volume.source,
    )


def resample(volume: Volume, w: Grid, v: Grid, u: Grid, outside: float = AIR_HU) -> Floats:
    """Values on a grid of the gantry frame, (w.count, v.count, u.count); shear undone, `outside` where none were read.

    Separable: rows and columns by one matrix product for every slice, then the depth.
    """
    depth = sampling_weights(volume.w, w, clamp=True)
    used = np.flatnonzero(depth.any(axis=0))
    planes = np.empty((len(used), v.count, u.count), np.float32)
    for index, slice_index in enumerate(used):
        rows = sampling_weights(volume.v + volume.shift_v[slice_index], v, clamp=False)
        columns = sampling_weights(volume.u + volume.shift_u[slice_index], u, clamp=False)
        (r0, r1), (c0, c1) = span(rows), span(columns)
        pixels = volume.hu[slice_index, r0:r1, c0:c1] - np.float32(outside)
        np.matmul(rows[:, r0:r1], pixels @ columns[:, c0:c1].T, out=planes[index])
    sampled = depth[:, used] @ planes.reshape(len(used), -1)
    return (sampled + np.float32(outside)).reshape(w.count, v.count, u.count)
