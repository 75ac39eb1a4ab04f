"""A stack turned into other axes without a second copy: its memory is laid for them before the pixels are read."""

import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from bundles.common.geometry import Matrix, to_ras

FORWARD, BACKWARD = slice(None), slice(None, None, -1)


def orientation(axcodes: str) -> Matrix:
    """Axes as letters, "RAS", in nibabel's terms, (3, 2).

    Raises:
        ValueError: No such axes.
    """
    return np.asarray(axcodes2ornt(tuple(axcodes)))


def touched(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Memory (slices, rows, columns) that the kernel has given already, which takes it as long as reading the pixels.

    Made by a thread beside the parsing of headers: it holds no lock of the interpreter.
    """
    array = np.empty(shape, dtype=np.float32)
    array.fill(0)
    return array


def room(
    shape: tuple[int, int, int], affine: Matrix, wanted: Matrix | None, ready: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Memory for a stack of `shape` (slices, rows, columns), laid so that turning it is free; its values say nothing.

    Args:
        shape: Of the stack.
        affine: (column, row, slice, 1) to LPS millimetres.
        wanted: Axes that it will be turned into; None for its own.
        ready: What `touched` made: taken where its images are of that size and enough.
    """
    fits = ready is not None and ready.shape[1:] == shape[1:] and len(ready) >= shape[0]
    array = ready[: shape[0]] if ready is not None and fits else np.empty(shape, dtype=np.float32)
    return array if wanted is None else array[_flips(ornt_transform(io_orientation(to_ras(affine)), wanted))]


def turned(array: NDArray[np.float32], affine: Matrix, wanted: Matrix) -> tuple[NDArray[np.float32], Matrix]:
    """Turn a stack into other axes: a view, of the same memory where that was laid as `room` does.

    Args:
        array: (slices, rows, columns).
        affine: (column, row, slice, 1) to RAS millimetres.
        wanted: Axes, (3, 2).

    Returns:
        The array with the wanted axes, each with a positive stride, and its affine.
    """
    change = ornt_transform(io_orientation(affine), wanted)
    laid = np.ascontiguousarray(array[_flips(change)])
    moved = affine @ inv_ornt_aff(change, array.shape[::-1])
    return laid.transpose(2, 1, 0).transpose(np.argsort(change[:, 0])), np.asarray(moved, dtype=np.float64)


def _flips(change: Matrix) -> tuple[slice, slice, slice]:
    """Of slices, rows, columns; nibabel's rows of `change` are of columns, rows, slices."""
    columns, rows, slices = (BACKWARD if direction < 0 else FORWARD for direction in change[:, 1])
    return slices, rows, columns
