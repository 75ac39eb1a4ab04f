"""Gaps between slices: even, in blocks, or with slices missing, told in words. Needs numpy, never torch.

Sequential head CTs often have two blocks: thin slices through the skull base, thick ones above. Their joint is a gap of
its own. A missing slice shows as a gap wider than the blocks on both of its sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bundles.common.geometry import POSITION_TOLERANCE_MM, StackGeometry, gaps_mm

MIN_BLOCK_GAPS = 3
"""A run of fewer equal gaps is no block of its own: two neighbouring 10 mm gaps among 5 mm ones are two holes."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of evenly spaced slices.

    Attributes:
        first, last: Indices of its first and last slice in the stack.
        spacing_mm: Median distance between its neighbours.
    """

    first: int
    last: int
    spacing_mm: float


def blocks(gaps: Sequence[float], tolerance: float) -> tuple[Block, ...]:
    """Split a stack into its runs of at least `MIN_BLOCK_GAPS` gaps that agree within a relative tolerance.

    Args:
        gaps: Distances between neighbouring slices, millimetres.
        tolerance: Largest relative deviation of a gap from the first of its run.
    """
    result = []
    start = 0
    for index in range(1, len(gaps) + 1):
        if index < len(gaps) and _equal(gaps[index], gaps[start], tolerance):
            continue
        if index - start >= MIN_BLOCK_GAPS:
            result.append(Block(start, index, float(np.median(gaps[start:index]))))
        start = index
    return tuple(result)


def spacing_problem(
    geometry: StackGeometry, tolerance: float, allow_variable: bool, numbers: Sequence[int | None] = ()
) -> str | None:
    """Say in words what is wrong with the distances between slices, None where nothing is.

    Args:
        geometry: A stack sorted along its normal.
        tolerance: Largest relative deviation of a gap from what its neighbours let expect.
        allow_variable: Whether blocks of different spacing, and slices closer than expected, are accepted. Gaps wider
            than the blocks on both sides never are.
        numbers: InstanceNumber of every slice, for the words alone; () where unknown.
    """
    gaps = [float(gap) for gap in gaps_mm(geometry)]
    if not gaps:
        return None
    found = blocks(gaps, tolerance)
    median = float(np.median(gaps))
    for index, gap in enumerate(gaps):
        near = _neighbours(found, index, median)
        if gap < POSITION_TOLERANCE_MM:
            return f"{name_slice(index + 1, geometry, numbers)} lies at the same position as the slice before it"
        if not _equal(gap, max(near), tolerance) and gap > max(near):
            return f"{_far(index, gap, geometry, numbers)}, expected {max(near):.1f} mm: {_missing(gap, max(near))}"
        if not allow_variable and not _equal(gap, median, tolerance):
            return f"{_far(index, gap, geometry, numbers)}, expected {median:.1f} mm: the spacing varies"
    return None


def name_slice(index: int, geometry: StackGeometry, numbers: Sequence[int | None] = ()) -> str:
    """Name a slice for people, counted from 1: "slice 17 of 36 (instance number 18)"."""
    number = numbers[index] if index < len(numbers) else None
    words = f"slice {index + 1} of {len(geometry.origins)}"
    return words if number is None else f"{words} (instance number {number})"


def _equal(gap: float, expected: float, tolerance: float) -> bool:
    return abs(gap - expected) <= max(tolerance * expected, POSITION_TOLERANCE_MM)


def _neighbours(found: Sequence[Block], gap: int, median: float) -> tuple[float, ...]:
    """Spacings that a gap may have: of the block it lies in, else of the blocks beside it, else the median."""
    inside = [block.spacing_mm for block in found if block.first <= gap < block.last]
    if inside:
        return tuple(inside)
    before = [block.spacing_mm for block in found if block.last <= gap][-1:]
    after = [block.spacing_mm for block in found if block.first > gap][:1]
    return tuple(before + after) or (median,)


def _far(index: int, gap: float, geometry: StackGeometry, numbers: Sequence[int | None]) -> str:
    return f"{name_slice(index + 1, geometry, numbers)} lies {gap:.1f} mm from its neighbour"


def _missing(gap: float, expected: float) -> str:
    count = round(gap / expected) - 1
    if count < 1:
        return "the gap is too wide"
    return "a slice is missing" if count == 1 else f"{count} slices are missing"
