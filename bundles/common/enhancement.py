"""Whether the vessels of a T1-weighted gradient-echo head are bright with contrast agent. Needs numpy and scipy.

After contrast agent, dural sinuses, veins and choroid plexus are brighter than white matter, which is otherwise the
brightest thing inside the skull; and they are everywhere. Bright without contrast agent are fat and marrow (outside of
the brain), blood that flows in (arteries of the base, at one end of the slab), blood of a bleeding, melanin,
calcification (in one place). So: what is much brighter than the brain around it, inside the brain's envelope, counted
by where it is and not by how much of it there is.

1. Voxels are averaged to about `COARSE_MM`. The head is what exceeds a tenth of the way from the 2nd to the 98th
   percentile, its largest part, filled.
2. Brain is the largest part of evenly bright tissue at least `SCALP_MM` below the head's surface, opened by
   `OPENING_MM` so that nothing thin joins it to marrow and scalp. Its envelope closes fissures and ventricles.
3. Brightness is divided by the mean of brain nearby, so that the shading of surface coils does not count.
4. A place is a cube of `PLACE_MM`. It is bright where voxels above `BRIGHT` fill `LEAST_MM3`. Two numbers answer: the
   share of bright places, and the median of that share over the eight octants of the brain, which what is bright in
   up to three of them does not change.

An image of the brain alone passes as well. No part is learned; `bundles.common.contrast` holds the margins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bundles.common.headers import UnreadableImage

COARSE_MM = 2.0
SCALP_MM = 10.0
DEEP_MM = 25.0
OPENING_MM = 4.0
ENVELOPE_MM = 10.0
NEARBY_MM = 15.0
TISSUE = (0.6, 1.35)
BRIGHT = 1.4
PLACE_MM = 20.0
LEAST_MM3 = 24.0
LEAST_PLACE_SHARE = 0.3
BRAIN_LITRES = (0.6, 2.2)
MM3_PER_LITRE = 1e6

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


class NoBrain(UnreadableImage):
    """Nothing in the image looks like a brain. The message says what was found instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Brain:
    """The inside of a skull in a coarse volume.

    Attributes:
        envelope: The brain with its fissures, ventricles and the vessels in them.
        brightness: Of every voxel, 1 being the mean of brain nearby.
    """

    envelope: Mask
    brightness: Floats


@dataclass(frozen=True, slots=True)
class BrightPlaces:
    """How much of a brain holds something much brighter than brain.

    Attributes:
        share: Of its places, 0 to 1.
        middle_share: The median of the shares of its octants.
    """

    share: float
    middle_share: float


def factors(spacing_mm: Spacing) -> tuple[int, int, int]:
    """How many voxels along each axis make one of at most about `COARSE_MM`."""
    first, second, third = (max(1, int(COARSE_MM / step + 1e-3)) for step in spacing_mm)
    return first, second, third


def averaged(volume: NDArray[Any], by: tuple[int, int, int]) -> Floats:
    """Means of blocks of voxels; what is left over at the far ends is left out."""
    counts = [size // step for size, step in zip(volume.shape, by, strict=True)]
    whole = volume[tuple(slice(0, count * step) for count, step in zip(counts, by, strict=True))]
    shape = [number for count, step in zip(counts, by, strict=True) for number in (count, step)]
    return np.asarray(whole.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32), dtype=np.float32)


def bright_places(coarse: Floats, spacing_mm: Spacing) -> BrightPlaces:
    """Count where a brain is much brighter than itself.

    Args:
        coarse: Any orientation, voxels of about `COARSE_MM` (`averaged`).
        spacing_mm: Of its axes.

    Raises:
        NoBrain: The image is empty, or nothing in it has the place and size of a brain.
        UnreadableImage: Values are not finite.
    """
    brain = find_brain(coarse, spacing_mm)
    found = np.argwhere(brain.envelope)
    cubes = (found * spacing_mm // PLACE_MM).astype(np.intp)
    place = np.ravel_multi_index(tuple(cubes.T), tuple(cubes.max(axis=0) + 1))
    sizes = np.bincount(place)
    bright = np.bincount(place, weights=brain.brightness[brain.envelope] > BRIGHT)
    voxel = float(np.prod(spacing_mm))
    used = sizes * voxel >= LEAST_PLACE_SHARE * PLACE_MM**3
    middle = np.median(found, axis=0)
    middles = np.stack([np.bincount(place, weights=found[:, axis]) / np.maximum(sizes, 1) for axis in range(3)], axis=1)
    octant = ((middles > middle) * [1, 2, 4]).sum(axis=1)
    hit = bright * voxel >= LEAST_MM3
    shares = [hit[used & (octant == number)].mean() for number in range(8) if (used & (octant == number)).any()]
    return BrightPlaces(float(hit[used].mean()), float(np.median(shares)))


def find_brain(coarse: Floats, spacing_mm: Spacing) -> Brain:
    """Find the brain in a coarse volume.

    Raises:
        NoBrain, UnreadableImage: As `bright_places` says.
    """
    if not np.isfinite(coarse).all():
        raise UnreadableImage("values are NaN or infinite; export the series again")
    depth = _depth(coarse, spacing_mm)
    dark = float(np.percentile(coarse, 1))
    level = float(np.median(coarse[depth >= min(DEEP_MM, 0.6 * depth.max())]))
    if not level > dark:
        raise NoBrain("the inside of the largest bright part is as dark as the background")
    bright = (coarse - dark) / np.float32(level - dark)
    inner = depth >= min(SCALP_MM, 0.25 * depth.max())
    core = _core((bright > TISSUE[0]) & (bright < TISSUE[1]) & inner, spacing_mm)
    envelope = _envelope(_near(core, OPENING_MM + 1, spacing_mm) & inner, spacing_mm) & inner
    litres = float(envelope.sum() * np.prod(spacing_mm)) / MM3_PER_LITRE
    if not BRAIN_LITRES[0] <= litres <= BRAIN_LITRES[1]:
        low, high = BRAIN_LITRES
        raise NoBrain(f"the largest even part holds {litres:.2f} L, a brain {low} to {high} L")
    return Brain(envelope, bright / _level_nearby(bright, core, spacing_mm))


def _depth(coarse: Floats, spacing_mm: Spacing) -> Floats:
    """Distance of each voxel of the head to its surface, millimetres; 0 outside. The image's border is a surface."""
    low, high = (float(value) for value in np.percentile(coarse, (2, 98)))
    labels, count = ndimage.label(coarse > low + 0.1 * (high - low))
    if not high > low or count == 0:
        raise NoBrain("the image is empty, nearly all of it has one value")
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
    return _distance(np.pad(filled, 1), spacing_mm)[1:-1, 1:-1, 1:-1].astype(np.float32)


def _core(tissue: Mask, spacing_mm: Spacing) -> Mask:
    labels, count = ndimage.label(_inside(tissue, OPENING_MM, spacing_mm))
    if count == 0:
        raise NoBrain("nothing in it is as large and even as a brain")
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def _envelope(brain: Mask, spacing_mm: Spacing) -> Mask:
    """Close fissures, with room around so that the border of the image does not count as outside."""
    room = [int(np.ceil(ENVELOPE_MM / step)) + 1 for step in spacing_mm]
    padded = np.pad(brain, [(width, width) for width in room])
    closed = _inside(_near(padded, ENVELOPE_MM, spacing_mm), ENVELOPE_MM + 1, spacing_mm)
    return closed[tuple(slice(width, -width) for width in room)]


def _level_nearby(bright: Floats, core: Mask, spacing_mm: Spacing) -> Floats:
    sigma = [NEARBY_MM / step for step in spacing_mm]
    there = core.astype(np.float32)
    weights = ndimage.gaussian_filter(there, sigma)
    means = ndimage.gaussian_filter(bright * there, sigma) / np.maximum(weights, np.float32(1e-3))
    return np.asarray(np.maximum(means, np.float32(TISSUE[0] / 2)), dtype=np.float32)


def _near(mask: Mask, reach_mm: float, spacing_mm: Spacing) -> Mask:
    """What is at most so far from a mask, millimetres; looked for in the box that holds it."""
    near = np.zeros(mask.shape, dtype=np.bool_)
    if (box := _box(mask, [int(reach_mm / step) + 1 for step in spacing_mm])) is not None:
        near[box] = ndimage.distance_transform_edt(~mask[box], sampling=spacing_mm) <= reach_mm
    return near


def _inside(mask: Mask, margin_mm: float, spacing_mm: Spacing) -> Mask:
    """What lies deeper in a mask than a margin, millimetres. The image's border is no surface."""
    return _distance(mask, spacing_mm) > margin_mm


def _distance(mask: Mask, spacing_mm: Spacing) -> NDArray[np.float64]:
    """Distance of each voxel of a mask to the nearest one outside of it, millimetres; 0 outside.

    Taken in the box that holds the mask and one voxel more, where there is one: the nearest voxel outside is there.
    """
    distance = np.zeros(mask.shape)
    if (box := _box(mask, (1, 1, 1))) is not None:
        distance[box] = ndimage.distance_transform_edt(mask[box], sampling=spacing_mm)
    return distance


def _box(mask: Mask, margins: Sequence[int]) -> tuple[slice, ...] | None:
    """The least box that holds a mask, with margins as far as the volume goes; None for an empty mask."""
    box = []
    for axis, margin in enumerate(margins):
        held = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not len(held):
            return None
        box.append(slice(max(0, int(held[0]) - margin), int(held[-1]) + margin + 1))
    return tuple(box)
