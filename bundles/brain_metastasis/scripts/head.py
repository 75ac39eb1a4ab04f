"""Find the head in a stack and the brightness of its brain, without landmarks, on a 4 mm grid.

1. The head is what exceeds a tenth of the way from the 2nd to the 98th percentile (the robust range of BET, Smith
   2002), its largest connected part, holes filled in every axial slice. An image of the brain alone passes as well.
2. Its top is the highest slice with 2 % of the largest cross-section. The box reaches from there down by `HEIGHT_MM`:
   the brain with the cerebellum needs about 150 mm. In plane it is centred on the head's upper `UPPER_MM`, where there
   is no nose and no neck.
3. Brightness is linear: the 1st percentile of the image becomes 0, and the median of what lies deep inside the head's
   upper part (brain: `DEEP_MM` below the surface, past scalp and skull) becomes `BRAIN_LEVEL`. Fat, which may be the
   brightest thing or be suppressed or be cut away with the scalp, does not matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bundles.brain_metastasis.scripts.volume import Stack, resample
from bundles.common.headers import UnreadableImage
from bundles.common.sampling import Floats, Grid, Grids

COARSE_MM = 4.0
HEIGHT_MM = 190.0
UPPER_MM = 120.0
DEEP_MM = 20.0
MARGIN_MM = 4.0
MIN_LITRES = 0.3
MIN_SLICE_SHARE = 0.02
BRAIN_LEVEL = 0.4

Mask = NDArray[np.bool_]


class NoHead(UnreadableImage):
    """No head was found (a `ValueError`). The message says what was seen instead; nothing is guessed."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a head lies along the axes of the axial array, millimetres from its first voxel, and how bright it is.

    Attributes:
        bottom, top: Of the box.
        middle: (row, column) position of its centre.
        dark, brain: Values of the image that become 0 and `BRAIN_LEVEL`.
    """

    bottom: float
    top: float
    middle: tuple[float, float]
    dark: float
    brain: float

    def grids(self, spacing_mm: tuple[float, float, float], box: tuple[int, int]) -> Grids:
        """The network's grid: as many slices as the box is high, and `box` (rows, columns) around its middle."""
        count = max(1, int(np.ceil((self.top - self.bottom) / spacing_mm[0])))
        slices = Grid(self.top - count * spacing_mm[0], self.top, count)
        return slices, _around(self.middle[0], spacing_mm[1], box[0]), _around(self.middle[1], spacing_mm[2], box[1])

    def normalised(self, values: Floats) -> Floats:
        """Image values as the network sees them, clipped to 0 and 1; brain lies near `BRAIN_LEVEL`."""
        scale = np.float32(BRAIN_LEVEL / (self.brain - self.dark))
        return np.asarray(np.clip((values - np.float32(self.dark)) * scale, 0, 1), dtype=np.float32)


def find_head(stack: Stack) -> Head:
    """Locate the head of a stack.

    Raises:
        NoHead: Values are not finite, the image is empty, or nothing in it has the size of a head.
    """
    wrong = stack.values.size - int(np.count_nonzero(np.isfinite(stack.values)))
    if wrong:
        raise NoHead(f"{wrong} of {stack.values.size} voxels are NaN or infinite; export the series again")
    grids = coarse_grids(stack)
    coarse = resample(stack, grids, outside=float(stack.values.min()))
    mask = head_mask(coarse)
    areas = mask.sum(axis=(1, 2))
    used = np.flatnonzero(areas >= MIN_SLICE_SHARE * areas.max())
    top = int(used[-1]) + 1
    upper = max(int(used[0]), top - round(UPPER_MM / COARSE_MM))
    dark, brain = _brightness(coarse, mask, slice(upper, top))
    high = grids[0].low + top * grids[0].step + MARGIN_MM
    low = max(high - HEIGHT_MM, grids[0].low + int(used[0]) * grids[0].step - MARGIN_MM)
    faces = [(float(places[0]) - step / 2, float(places[-1]) + step / 2) for places, step in _axes(stack)]
    return Head(
        bottom=max(low, faces[0][0]),
        top=min(high, faces[0][1]),
        middle=(_middle(mask[upper:top], 1, grids[1]), _middle(mask[upper:top], 2, grids[2])),
        dark=dark,
        brain=brain,
    )


def head_mask(coarse: Floats) -> Mask:
    """The head in a volume of `COARSE_MM` voxels (slices, rows, columns).

    Raises:
        NoHead: There is none.
    """
    low, high = (float(value) for value in np.percentile(coarse, (2, 98)))
    if not high > low:
        raise NoHead("no head found: the image is empty, nearly all of it has one value")
    labels, count = ndimage.label(coarse > low + 0.1 * (high - low))
    if count == 0:
        raise NoHead("no head found: nothing is brighter than the background")
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in largest])
    litres = float(filled.sum()) * COARSE_MM**3 / 1e6
    if litres < MIN_LITRES:
        raise NoHead(f"no head found: the largest bright part holds {litres:.2f} L, at least {MIN_LITRES} L are needed")
    return filled


def coarse_grids(stack: Stack) -> Grids:
    """A grid of `COARSE_MM` over the whole stack."""
    slices, rows, columns = (_cover(float(places[-1]) + step, -step / 2) for places, step in _axes(stack))
    return slices, rows, columns


def _axes(stack: Stack) -> list[tuple[NDArray[np.float64], float]]:
    return list(zip(stack.positions, stack.spacing_mm, strict=True))


def _cover(length: float, low: float) -> Grid:
    count = max(1, int(np.ceil(length / COARSE_MM)))
    return Grid(low, low + count * COARSE_MM, count)


def _around(middle: float, step: float, count: int) -> Grid:
    return Grid(middle - count * step / 2, middle + count * step / 2, count)


def _middle(mask: Mask, axis: int, grid: Grid) -> float:
    used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    return float(grid.low + (used[0] + used[-1] + 1) / 2 * grid.step)


def _brightness(coarse: Floats, mask: Mask, upper: slice) -> tuple[float, float]:
    """Values of the dark background and of brain.

    Raises:
        NoHead: The inside of the head is as dark as the outside.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, ((0, 0), (1, 1), (1, 1))))[:, 1:-1, 1:-1] * COARSE_MM
    inside = depth[upper] >= min(DEEP_MM, 0.6 * float(depth[upper].max()))
    dark, brain = float(np.percentile(coarse, 1)), float(np.median(coarse[upper][inside]))
    if not brain > dark:
        raise NoHead("no head found: the inside of the largest bright part is as dark as the background")
    return dark, brain
