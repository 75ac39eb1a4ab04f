"""Boxes as edges in pixels of the source image: x to the right, y down, the first pixel spans 0…1."""

import math

from bundles.common.datalist.problems import Damaged, Kind

Edges = tuple[float, float, float, float]
Size = tuple[int, int]  # columns, rows
ROUNDING_PX = 0.5  # files write rounded numbers; what reaches out no farther than this is drawn back to the border


def inside(edges: Edges, size: Size) -> Edges:
    """Check a box against its image.

    Args:
        edges: x0, y0, x1, y1.
        size: Columns and rows of the image.

    Returns:
        The same box; edges at most half a pixel outside lie on the border.

    Raises:
        Damaged: Something is not finite, the box has no area, or it reaches outside.
    """
    shown = f"box ({', '.join(f'{edge:g}' for edge in edges)})"
    if not all(math.isfinite(edge) for edge in edges):
        raise Damaged(f"{shown} has an edge that is no number", Kind.BOX)
    x0, y0, x1, y1 = edges
    if x1 <= x0 or y1 <= y0:
        raise Damaged(f"{shown} has no area: x0 must be left of x1, y0 above y1", Kind.BOX)
    columns, rows = size
    drawn = (max(x0, 0.0), max(y0, 0.0), min(x1, float(columns)), min(y1, float(rows)))
    if max(abs(new - old) for new, old in zip(drawn, edges, strict=True)) > ROUNDING_PX:
        raise Damaged(f"{shown} lies outside of its image of {columns}×{rows} pixels", Kind.BOX)
    if drawn[2] <= drawn[0] or drawn[3] <= drawn[1]:
        raise Damaged(f"{shown} has no area inside its image of {columns}×{rows} pixels", Kind.BOX)
    return drawn


def around(points: list[tuple[float, float]]) -> Edges:
    """Return the smallest box around points (x, y).

    Raises:
        Damaged: No points.
    """
    if not points:
        raise Damaged("an outline without points", Kind.BOX)
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def overlap(first: Edges, second: Edges) -> float:
    """Return intersection over union of two boxes that have an area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (area(first) + area(second) - shared)


def area(edges: Edges) -> float:
    """Return the area in square pixels."""
    return (edges[2] - edges[0]) * (edges[3] - edges[1])
