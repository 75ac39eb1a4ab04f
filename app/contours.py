"""Outlines of a mask as closed lines along the edges of its pixels, for presentation states (PS3.3 C.10.5), pages."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 1000
"""Of one line. GraphicData is written with a length of 16 bits (PS3.5 7.1.2): 8191 points and no more."""
MOST_LINES = 40
FINEST = 0.5

Points = NDArray[np.float64]
Corner = tuple[int, int]


def outline(inside: NDArray[np.bool_], most_points: int = MOST_POINTS) -> list[Points]:
    """The border of what is inside, of holes too.

    Args:
        inside: (rows, columns).
        most_points: A longer line is simplified, by half a pixel or as much more as it takes.

    Returns:
        Closed lines, the longest `MOST_LINES` of them, the longest first: (points, 2) as (column, row), 0, 0 being the
        upper left corner of the upper left pixel. Pixels that touch at a corner alone have a line each.
    """
    lines = sorted(_closed_lines(_edges(inside)), key=lambda line: -len(line))
    found = []
    for line in lines[:MOST_LINES]:
        points = _without_straight(np.array(line, dtype=np.float64))
        tolerance = FINEST
        kept = points
        while len(kept) > most_points:
            kept = _simplified(points, tolerance)
            tolerance *= 2
        found.append(kept)
    return found


def _edges(inside: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """Every edge between inside and outside, from corner to corner, what is inside on its right."""
    padded = np.pad(inside, 1)
    core = padded[1:-1, 1:-1]
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    edges: dict[Corner, list[Corner]] = defaultdict(list)
    for neighbour, (x0, y0), (x1, y1) in sides:
        rows, columns = np.nonzero(core & ~neighbour)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            edges[column + x0, row + y0].append((column + x1, row + y1))
    return edges


def _closed_lines(edges: dict[Corner, list[Corner]]) -> list[list[Corner]]:
    lines = []
    for start in list(edges):
        while edges[start]:
            line = [start]
            at, after = start, edges[start].pop()
            while after != start:
                line.append(after)
                at, after = after, _next(edges[after], at, after)
            lines.append([*line, start])
    return lines


def _next(ways: list[Corner], came_from: Corner, at: Corner) -> Corner:
    """Where two pixels touch at a corner, turn right: around the pixel that one came along."""
    if len(ways) == 1:
        return ways.pop()
    x, y = at[0] - came_from[0], at[1] - came_from[1]
    right = (at[0] - y, at[1] + x)
    return ways.pop(ways.index(right))


def _without_straight(line: Points) -> Points:
    """A closed line without the points at which it does not turn."""
    ring = line[:-1]
    turns = np.any(ring - np.roll(ring, 1, axis=0) != np.roll(ring, -1, axis=0) - ring, axis=1)
    kept = ring[turns]
    return np.vstack([kept, kept[:1]])


def _simplified(line: Points, tolerance: float) -> Points:
    """Fewer points, none of those left out further than `tolerance` from the line (Douglas and Peucker 1973)."""
    keep = np.zeros(len(line), dtype=bool)
    half = int(np.argmax(np.hypot(*(line - line[0]).T)))
    keep[[0, half, -1]] = True
    spans = [(0, half), (half, len(line) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        (x, y), between = line[last] - line[first], line[first + 1 : last] - line[first]
        distance = np.abs(x * between[:, 1] - y * between[:, 0]) / max(float(np.hypot(x, y)), 1e-9)
        furthest = int(np.argmax(distance))
        if distance[furthest] > tolerance:
            middle = first + 1 + furthest
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return line[keep]
