"""How a radiograph is shown, to a network and to people: one scale from its darkest pixel to its dense parts.

The brightest 1 % is clipped (Cho et al., CheSS, 2023), because side markers and metal would take the grey values from
the anatomy. Needs numpy, never torch.
"""

import numpy as np
from numpy.typing import NDArray

from bundles.common.headers import UnreadableImage

CLIPPED = 0.01
SAMPLE, MARGIN = 20_000, 0.01
"""Pixels that tell about where the cut lies, and how much deeper the exact search begins."""
Pixels = NDArray[np.float32]


def normalised(pixels: Pixels) -> Pixels:
    """(rows, columns) to 0…1, the brightest 1 % clipped.

    Args:
        pixels: As the one reader gives them: dense is bright, MONOCHROME1 is turned.

    Raises:
        UnreadableImage: All but 1 % have the same value.
    """
    white = _value_at(pixels, int(np.ceil((1 - CLIPPED) * pixels.size)) - 1)
    black = pixels.min()
    if not (np.isfinite(black) and np.isfinite(white) and white > black):
        raise UnreadableImage("99 % of the pixels have the same value: this radiograph shows nothing")
    scaled: Pixels = np.minimum((pixels - black) / (white - black), np.float32(1))
    return scaled


def _value_at(pixels: Pixels, place: int) -> np.float32:
    """The value at a place of the sorted pixels, NaN last: that of `np.partition`, faster near the upper end.

    A sample tells a value a little below the one that is wanted, and only what is brighter than that is sorted. Where a
    white border or saturated pixels share one value, that is often the very value, and nothing need be sorted.
    """
    # In the order of memory: a picture that lies transposed is not copied.
    values = pixels.ravel(order="K")
    sample = values[np.random.default_rng(0).integers(0, values.size, min(values.size, SAMPLE))]
    below = int(sample.size * (place / values.size - MARGIN))
    if below > 0:
        told = np.partition(sample, below)[below]
        brighter = values[values > told]
        behind = values.size - place
        # NaN is brighter than nothing, and would be missed here.
        if not np.isnan(values.max()):
            if len(brighter) >= behind:
                return np.float32(np.partition(brighter, len(brighter) - behind)[len(brighter) - behind])
            if np.count_nonzero(values >= told) >= behind:
                return np.float32(told)
    return np.float32(np.partition(values, place)[place])
