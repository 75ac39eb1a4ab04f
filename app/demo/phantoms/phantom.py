"""From a seed to a scanned head with its truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.acquisition import Acquisition, acquire, acquire_mask, sample_acquisition
from app.demo.phantoms.anatomy import Head, frame_of, sample_head
from app.demo.phantoms.bleeds import KINDS, Bleed, bleed_fraction, displaced, paint, sample_bleeds, sample_kinds
from app.demo.phantoms.distractors import add_distractors, sample_distractors
from app.demo.phantoms.fields import Array, head_grid, stream
from app.demo.phantoms.tissue import Tissue, draw_head
from app.demo.phantoms.truth import Truth, truth_of

MIN_BLEED_ML = 0.6
"""A bleed that came out smaller is left out: nobody could see it."""


@dataclass(frozen=True, slots=True)
class Phantom:
    """A scanned head.

    Attributes:
        seed: Draws the same phantom again.
        head, bleeds, acquisition: What was scanned, and how.
        volume_hu: (slices, rows, columns), lowest slice first, int16 Hounsfield units.
        mask: (slices, rows, columns), uint8; 0 nothing, else index in `KINDS` plus 1.
        truth: What the mask says.
    """

    seed: int
    head: Head
    bleeds: tuple[Bleed, ...]
    acquisition: Acquisition
    volume_hu: NDArray[np.int16]
    mask: NDArray[np.uint8]
    truth: Truth


def draw(head: Head, bleeds: tuple[Bleed, ...], pitch_mm: float) -> tuple[Tissue, dict[int, Array]]:
    """Draw a head with its bleeds and distractors: the tissue, and the fraction of blood of each label."""
    grid = head_grid(pitch_mm)
    frame = frame_of(head, grid)
    tissue = draw_head(head, frame, displaced(frame, bleeds))
    fractions: dict[int, Array] = {}
    for bleed in bleeds:
        fraction = bleed_fraction(bleed, tissue)
        if float(fraction.sum()) * pitch_mm**3 / 1000 >= MIN_BLEED_ML:
            fractions[KINDS.index(bleed.kind) + 1] = fraction
    add_distractors(sample_distractors(head.seed), tissue, tissue.hu)
    for bleed in bleeds:
        label = KINDS.index(bleed.kind) + 1
        if label in fractions:
            paint(bleed, tissue, fractions[label], tissue.hu)
    return tissue, fractions


def make_phantom(
    seed: int,
    size: int = 512,
    *,
    kinds: tuple[str, ...] | None = None,
    two_blocks: bool = False,
    acquisition: Acquisition | None = None,
) -> Phantom:
    """Draw and scan a head.

    Args:
        seed: Same seed and arguments, same phantom.
        size: Rows and columns of the images; from 384 up the head is drawn on a finer grid.
        kinds: Bleeds to put in; None lets the seed decide (half of the heads have none).
        two_blocks: Fine slices at the base, coarse ones above.
        acquisition: How to scan; None lets the seed decide.
    """
    head = sample_head(seed)
    if kinds is None:
        kinds = sample_kinds(seed) if stream(seed, "presence").random() < 0.5 else ()
    bleeds = sample_bleeds(head, kinds)
    if acquisition is None:
        acquisition = sample_acquisition(seed, size, head.axes_mm[2], two_blocks=two_blocks)
    tissue, fractions = draw(head, bleeds, 1.5 if size < 384 else 1.2)
    grid = tissue.frame.grid
    volume = acquire(tissue.hu, grid, acquisition)
    mask = acquire_mask(fractions, grid, acquisition)
    truth = truth_of(mask, acquisition.pixel_mm**2, acquisition.normal_spacings_mm)
    return Phantom(seed, head, bleeds, acquisition, volume, mask, truth)
