"""What is known about a phantom study, in the geometry in which it was acquired."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.bleeds import KINDS

SLICE_AREA_MM2 = 20.0
"""A slice counts as bleeding when the bleeds in it cover more than this."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The answer to a phantom study.

    Attributes:
        presence: Whether there is any bleed.
        types: One flag for each of `app.demo.phantoms.bleeds.KINDS`, in that order.
        slices: For each source slice, in the order of the array, whether its bleeds cover more than `SLICE_AREA_MM2`.
        volumes_ml: Volume of each kind, millilitres.
    """

    presence: bool
    types: tuple[bool, ...]
    slices: tuple[bool, ...]
    volumes_ml: tuple[float, ...]


def truth_of(mask: NDArray[np.uint8], pixel_mm2: float, spacings_mm: NDArray[np.float64]) -> Truth:
    """Read the truth off a label mask.

    Args:
        mask: (slices, rows, columns); 0 nothing, else index in `KINDS` plus 1.
        pixel_mm2: Area of a pixel.
        spacings_mm: Distance along the normal that each slice stands for, (slices,).
    """
    counts = np.stack([(mask == index + 1).sum(axis=(1, 2)) for index in range(len(KINDS))])
    volumes = (counts * spacings_mm[None, :]).sum(axis=1) * pixel_mm2 / 1000
    slices = counts.sum(axis=0) * pixel_mm2 > SLICE_AREA_MM2
    types = tuple(bool(total > 0) for total in counts.sum(axis=1))
    return Truth(any(types), types, tuple(bool(value) for value in slices), tuple(round(float(v), 3) for v in volumes))
