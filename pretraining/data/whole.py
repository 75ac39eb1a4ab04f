"""Images of whole numbers in few passes: packed into 8 or 16 bits, and percentiles by counting instead of sorting."""

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
PIXELS_AT_ONCE = 1 << 16
"""Counted together: `np.bincount` widens what it counts to 64 bits, which then stays in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """An image of whole numbers: ``pixels + offset``, exactly. The offset is 0 wherever that fits."""

    pixels: Pixels
    offset: float


def pack_whole(image: NDArray[np.float32], low: float, high: float) -> Whole | None:
    """Pack an image whose values are whole numbers; None where one is a fraction, or the range exceeds 16 bits.

    Args:
        image: Finite values, any shape.
        low: Their minimum.
        high: Their maximum.
    """
    offset = low if low < 0 or high > 65535 else 0.0
    if high - low > 65535 or not offset.is_integer():
        return None
    moved = image - np.float32(offset) if offset else image
    narrow = high - offset <= 255
    pixels: Pixels = moved.astype(np.uint8, order="C") if narrow else moved.astype(np.uint16, order="C")
    # Compared with the image, not with what was moved: moving may round a tiny fraction away.
    back = pixels.astype(np.float32) + np.float32(offset) if offset else pixels
    return Whole(pixels, offset) if np.array_equal(back, image) else None


def percentiles_of(image: Whole, wanted: tuple[float, float]) -> tuple[float, float]:
    """Return what ``np.percentile`` (linear) gives for these values in float32, to the last bit, without sorting."""
    pixels = image.pixels.reshape(-1)
    counts = np.zeros(int(pixels.max()) + 1, dtype=np.int64)
    for start in range(0, len(pixels), PIXELS_AT_ONCE):
        counts += np.bincount(pixels[start : start + PIXELS_AT_ONCE], minlength=len(counts))
    ranks = np.cumsum(counts)
    low, high = (_interpolated(ranks, image.offset, part) for part in wanted)
    return low, high


def _interpolated(ranks: NDArray[np.int64], offset: float, percentile: float) -> float:
    last = int(ranks[-1]) - 1
    place = last * (percentile / 100)
    before = min(floor(place), last)
    neighbours = (before, min(before + 1, last))
    below, above = (offset + float(np.searchsorted(ranks, rank, side="right")) for rank in neighbours)
    part, step = place - before, above - below
    # From the nearer neighbour, and with the offset inside, as NumPy rounds.
    return below + step * part if part < 0.5 else above - step * (1 - part)
