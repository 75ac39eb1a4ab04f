"""Polygons into pixels: a pixel belongs to what its centre lies in."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bundles.common.geometry import Matrix

Pixels = NDArray[np.bool_]


def filled(outlines: Iterable[Matrix], columns: int, rows: int) -> Pixels:
    """Fill polygons by the even-odd rule: what an even number of them encloses is a hole.

    The rule holds for one polygon that crosses itself or reaches a hole by a keyhole (edges there and back cancel), and
    for several: outlines inside others cut holes.

    Args:
        outlines: (points, 2) each: column and row of the corners, whole numbers at the centres of pixels; closed by
            itself.
        columns: Of the image; what lies outside is cut off.
        rows: Of the image.

    Returns:
        (columns, rows). A centre on an edge belongs to the polygon of which it is the upper or left end, so that
        polygons side by side share no pixel and leave none out.
    """
    crossings = np.zeros((columns + 1, rows), dtype=np.bool_)
    for outline in outlines:
        ends = np.roll(outline, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(outline.tolist(), ends.tolist(), strict=True):
            _cross(crossings, x0, y0, x1, y1)
    # A pixel is inside where the ray from the left has crossed an odd number of edges.
    return np.asarray(np.logical_xor.accumulate(crossings, axis=0)[:columns])


def _cross(crossings: Pixels, x0: float, y0: float, x1: float, y1: float) -> None:
    """Turn over, in every row that an edge crosses, the first pixel whose centre lies on the edge or right of it."""
    last = crossings.shape[0] - 1
    top, bottom = sorted((y0, y1))
    rows = np.arange(max(int(np.ceil(top)), 0), min(int(np.ceil(bottom)), crossings.shape[1]))
    if not rows.size:
        return
    at = np.ceil(x0 + (rows - y0) / (y1 - y0) * (x1 - x0))
    crossings[np.clip(at, 0, last).astype(np.intp), rows] ^= True
