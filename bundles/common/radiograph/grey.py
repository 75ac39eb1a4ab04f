"""How a radiograph is shown, to a network and to people: one scale from its darkest pixel to its dense parts.

The brightest 1 % is clipped (Cho et al., CheSS, 2023), because side markers and metal would take the grey values from
the anatomy. Needs numpy, never torch.
"""

import numpy as np
from numpy.typing import NDArray

from bundles.common.headers import UnreadableImage

CLIPPED = 0.01
Pixels = NDArray[np.float32]


def normalised(pixels: Pixels) -> Pixels:
    """(rows, columns) to 0…1, the brightest 1 % clipped.

    Args:
        pixels: As the one reader gives them: dense is bright, MONOCHROME1 is turned.

    Raises:
        UnreadableImage: All but 1 % have the same value.
    """
    place = int(np.ceil((1 - CLIPPED) * pixels.size)) - 1
    white = np.partition(pixels.ravel(), place)[place]
    black = pixels.min()
    if not (np.isfinite(black) and np.isfinite(white) and white > black):
        raise UnreadableImage("99 % of the pixels have the same value: this radiograph shows nothing")
    scaled: Pixels = np.minimum((pixels - black) / (white - black), np.float32(1))
    return scaled
