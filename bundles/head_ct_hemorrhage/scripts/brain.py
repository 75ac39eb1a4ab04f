"""Find the brain in a head CT without landmarks, and the box that the network sees.

The paper crops the brain by a set of head landmarks. Here, on a 3 mm grid of the gantry frame:

1. Bone is what exceeds 200 HU. A voxel is enclosed when, within its slice, bone lies ahead in at least three of the
   four directions (left, right, anterior, posterior): an opened, cut or missing skull still encloses; a table does not.
2. Brain-range voxels (−10 to 110 HU: fluid, parenchyma, fresh blood) that are enclosed are eroded once, which cuts
   the bridges through orbits and foramina, and the largest connected component is taken and grown back.
3. Slices with less than 8 % of its largest cross-section (the spinal canal) do not count.
4. It must hold 100 mL, and bone must make up 35 % of the shell around it in its slices: a heart or a liver fails there.

The component's bounding box with a margin (the inner table and everything extra-axial lie within) is the brain box. No
single step looks at the vertex, the table or the orientation of the head, so missing tops, tilt and thick slices do not
matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bundles.common.headers import UnreadableImage
from bundles.common.sampling import Floats, Grid, Grids
from bundles.head_ct_hemorrhage.scripts.volume import COLUMNS, DEPTH, ROWS, Frame, Volume, resample

COARSE_MM = 3.0
BONE_HU = 200.0
BRAIN_HU = (-10.0, 110.0)
MIN_VOLUME_ML = 100.0
MIN_BONE_SHELL = 0.35
MARGIN_MM = 5.0
MIN_SLICE_SHARE = 0.08

Mask = NDArray[np.bool_]


class NoBrain(UnreadableImage):
    """No brain was found (a `ValueError`). The message says what was seen instead; nothing is guessed."""


@dataclass(frozen=True, slots=True)
class BrainBox:
    """Outer faces of the brain's box in the gantry frame, (low, high) millimetres along w, v and u."""

    w: tuple[float, float]
    v: tuple[float, float]
    u: tuple[float, float]

    def grids(self, shape: tuple[int, int, int]) -> Grids:
        """Grids that divide the box into (depth, rows, columns) voxels, each axis scaled by itself."""
        return Grid(*self.w, shape[0]), Grid(*self.v, shape[1]), Grid(*self.u, shape[2])


def find_brain(volume: Volume) -> BrainBox:
    """Locate the brain.

    Raises:
        NoBrain: Nothing of its density inside a skull is large enough.
    """
    grids = _coarse_grids(volume.frame)
    mask = brain_mask(resample(volume, grids))
    low, high = _stack_faces(volume.frame)
    faces = []
    for axis, grid in enumerate(grids):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        start, stop = grid.low + used[0] * grid.step - MARGIN_MM, grid.low + (used[-1] + 1) * grid.step + MARGIN_MM
        faces.append((max(start, low), min(stop, high)) if axis == 0 else (start, stop))
    return BrainBox(faces[0], faces[1], faces[2])


def brain_mask(hu: Floats) -> Mask:
    """The brain in a volume of `COARSE_MM` voxels, (depth, rows, columns) of HU.

    Raises:
        NoBrain: None was found.
    """
    bone = hu > BONE_HU
    candidates = _enclosed(bone) & (hu > BRAIN_HU[0]) & (hu < BRAIN_HU[1])
    labels, count = ndimage.label(ndimage.binary_erosion(candidates))
    if count == 0:
        raise NoBrain("no brain found: nothing of brain density lies inside a skull")
    core = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    brain = _without_canal(ndimage.binary_dilation(core, iterations=2, mask=candidates))
    millilitres = float(brain.sum()) * COARSE_MM**3 / 1000
    if millilitres < MIN_VOLUME_ML:
        raise NoBrain(
            f"no brain found: the largest part of brain density inside a skull holds {millilitres:.0f} mL, "
            f"at least {MIN_VOLUME_ML:.0f} mL are needed"
        )
    share = _bone_share(brain, bone)
    if share < MIN_BONE_SHELL:
        raise NoBrain(
            f"no brain found: bone makes up {share:.0%} of what surrounds the largest soft part, "
            f"at least {MIN_BONE_SHELL:.0%} are needed for a skull"
        )
    return brain


def _without_canal(brain: Mask) -> Mask:
    """Drop the thin ends of the component: the spinal canal below, a last shimmer of brain below the vertex."""
    areas = brain.sum(axis=(1, 2))
    return np.asarray(brain & (areas >= MIN_SLICE_SHARE * areas.max())[:, None, None])


def _enclosed(bone: Mask) -> Mask:
    hits = np.zeros(bone.shape, np.uint8)
    for axis in (1, 2):
        hits += np.logical_or.accumulate(bone, axis=axis)
        hits += np.flip(np.logical_or.accumulate(np.flip(bone, axis), axis=axis), axis)
    return np.asarray(hits >= 3)


def _bone_share(brain: Mask, bone: Mask) -> float:
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = True
    grown = ndimage.binary_dilation(brain, in_plane, iterations=2)
    shell = grown & ~ndimage.binary_fill_holes(brain)
    reached = ndimage.binary_dilation(bone, in_plane)
    return float((shell & reached).sum()) / max(1, int(shell.sum()))


def _coarse_grids(frame: Frame) -> Grids:
    return _cover(*_stack_faces(frame)), _cover(*frame.extent(ROWS)), _cover(*frame.extent(COLUMNS))


def _cover(low: float, high: float) -> Grid:
    count = max(1, int(np.ceil((high - low) / COARSE_MM)))
    return Grid(float(low), float(low + count * COARSE_MM), count)


def _stack_faces(frame: Frame) -> tuple[float, float]:
    """Outer faces of the stack along `w`: half a spacing beyond its first and last sample."""
    w, (low, high) = frame.positions[DEPTH], frame.extent(DEPTH)
    if len(w) == 1:
        return low - COARSE_MM / 2, high + COARSE_MM / 2
    return low - float(w[1] - w[0]) / 2, high + float(w[-1] - w[-2]) / 2
