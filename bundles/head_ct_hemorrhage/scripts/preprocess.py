"""From a read series to the network's input, as MONAI dictionary transforms.

The box keeps the gantry frame: a box slice is a weighted mean of neighbouring source slices, in order, so that every
source slice has one place between the box slices (`slice_positions`), through which postprocessing goes back.
"""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor
from torch.nn import functional

from bundles.common.sampling import Floats, Grid, sampling_weights
from bundles.head_ct_hemorrhage.scripts.brain import find_brain
from bundles.head_ct_hemorrhage.scripts.network import TYPES
from bundles.head_ct_hemorrhage.scripts.stack import volume_of
from bundles.head_ct_hemorrhage.scripts.volume import Volume, resample

BOX = (40, 224, 192)
CENTER_HU = 55.0
WIDTH_HU = 200.0
CELL = 8
KEPT_META = ("source_uids", "notes")
"""Of the reader's metadata: by these the service checks the order of the slices, and tells what was odd."""


class BrainBoxd(MapTransform):  # type: ignore[misc]
    """Crop the brain and scale it into the box.

    Reads `image` as `LoadImaged` with `bundles.common.monai_reader.SeriesReader` gives it. Writes, besides the image
    ((1, depth, rows, columns) float32 HU; depth inferior → superior, rows anterior → posterior, columns right → left):

    - `slice_positions` (source slices,): for each source slice, in source order, its place among the box slices, where
      0 is the middle of the first one; below −0.5 or above depth − 0.5 it lies outside of the box. Empty for coronal
      and sagittal stacks, whose slices are no box slices.
    - `slice_weights` (depth, source slices): the share of every source slice in every box slice; rows sum to 1.

    Args:
        keys: Of the image.
        box: (depth, rows, columns).

    Raises:
        NoBrain: None was found; the message says what was seen instead.
    """

    def __init__(self, keys: Hashable, box: tuple[int, int, int] = BOX) -> None:
        super().__init__(keys)
        self.box = (int(box[0]), int(box[1]), int(box[2]))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            volume = volume_of(item[key])
            grids = find_brain(volume).grids(self.box)
            meta = {name: item[key].meta[name] for name in KEPT_META if name in item[key].meta}
            item[key] = MetaTensor(torch.from_numpy(resample(volume, *grids))[None], meta=meta)
            item["slice_positions"] = torch.from_numpy(slice_positions(volume, grids[0]))
            item["slice_weights"] = torch.from_numpy(slice_weights(volume, grids[0]))
        return item


class BleedMaskd(MapTransform):  # type: ignore[misc]
    """Bring a label mask into the box, coarsely, for the training-time mask supervision (`scripts/supervision.py`).

    Reads `mask`, loaded like the image: 0 nothing, else 1 + index in `TYPES`; optional. Writes `mask`
    (5, depth, rows / 8, columns / 8) uint8, 255 where a cell holds a voxel full of that bleed, and `mask_known` (1,).
    Must come before `BrainBoxd`, whose image it needs to find the same box.

    Args:
        keys: Of the image.
        box: (depth, rows, columns).
    """

    def __init__(self, keys: Hashable, box: tuple[int, int, int] = BOX) -> None:
        super().__init__(keys)
        self.box = (int(box[0]), int(box[1]), int(box[2]))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            depth, rows, columns = self.box
            coarse = torch.zeros((len(TYPES), depth, rows // CELL, columns // CELL), dtype=torch.uint8)
            mask = item.pop("mask", None)
            item["mask_known"] = torch.tensor([float(mask is not None)])
            if mask is not None:
                grids = find_brain(volume_of(item[key])).grids(self.box)
                labels = volume_of(mask)
                for index in range(len(TYPES)):
                    if (labels.hu == index + 1).any():
                        coarse[index] = _coarse(replace(labels, hu=(labels.hu == index + 1).astype(np.float32)), grids)
            item["mask"] = coarse
        return item


class WindowHUd(MapTransform):  # type: ignore[misc]
    """Map Hounsfield units to (0, 1), clipped: (hu − centre) / width + 1/2 (paper §4.5: centre 55, width 200)."""

    def __init__(self, keys: Hashable, center: float = CENTER_HU, width: float = WIDTH_HU) -> None:
        super().__init__(keys)
        self.center, self.width = center, width

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item; keeps the shape."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = ((item[key] - self.center) / self.width + 0.5).clamp_(0, 1)
        return item


class Targetsd(Transform):  # type: ignore[misc]
    """Labels of a case as tensors; what a case lacks becomes NaN, which the loss leaves out.

    Reads `label` (0 or 1), `types` (five 0/1) and `slices` (0/1 for each source slice), each optional; writes
    `hemorrhage` (1,), `types` (5,) and `slices` (depth,), the latter carried to the box slices by `slice_weights`.
    """

    def __init__(self, depth: int = BOX[0]) -> None:
        self.depth = depth

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item.

        Raises:
            ValueError: A label has another length than what it labels.
        """
        item = dict(data)
        weights = item.pop("slice_weights")
        item.pop("slice_positions", None)
        item["hemorrhage"] = _labels(item.pop("label", None), 1)
        item["types"] = _labels(item.get("types"), len(TYPES))
        slices = _labels(item.get("slices"), weights.shape[1] if item.get("slices") is not None else self.depth)
        item["slices"] = weights.float() @ slices if item.get("slices") is not None else slices
        return item


class ToBytesd(MapTransform):  # type: ignore[misc]
    """(0, 1) → 8 bits for the cache: 0.8 HU a step, a quarter of the room."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = (item[key] * 255).round().to(torch.uint8)
        return item


class FromBytesd:
    """Undo `ToBytesd`, and average pixels in plane where a coarser box is wanted.

    No `Transform` on purpose: `PersistentDataset` caches up to the first thing that is none, so the cache holds bytes
    of the full box, whatever `shrink` is.

    Args:
        keys: Of images (1, depth, rows, columns).
        shrink: Side of the in-plane square that becomes one pixel; 1 keeps all.
    """

    def __init__(self, keys: str, shrink: int = 1) -> None:
        self.key, self.shrink = keys, shrink

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        image = _plain(item[self.key]).float() / 255
        if "mask" in item:
            item["mask"] = _plain(item["mask"]).float() / 255
        item[self.key] = functional.avg_pool3d(image, (1, self.shrink, self.shrink)) if self.shrink > 1 else image
        return item


def _plain(values: Any) -> torch.Tensor:
    """Take off MONAI's metadata: a case that is just being cached still carries it, one from the cache does not."""
    tensor: torch.Tensor = convert_to_tensor(values, track_meta=False)
    return tensor


def _coarse(share: Volume, grids: tuple[Grid, Grid, Grid]) -> torch.Tensor:
    full = torch.from_numpy(resample(share, *grids, outside=0.0))
    return (functional.max_pool2d(full, CELL).clamp(0, 1) * 255).round().to(torch.uint8)


def slice_positions(volume: Volume, depth: Grid) -> Floats:
    """Place of every source slice among the box slices, in source order; empty where source slices are not axial."""
    if volume.source is None:
        return np.zeros(0, np.float32)
    positions = np.empty(len(volume.w), np.float32)
    positions[volume.source] = (volume.w - depth.low) / depth.step - 0.5
    return positions


def slice_weights(volume: Volume, depth: Grid) -> Floats:
    """Share of every source slice, in source order, in every box slice, (depth, source slices)."""
    if volume.source is None:
        return np.zeros((depth.count, 0), np.float32)
    weights = np.empty((depth.count, len(volume.w)), np.float32)
    weights[:, volume.source] = sampling_weights(volume.w, depth, clamp=True)
    return weights


def _labels(value: Any, length: int) -> torch.Tensor:
    if value is None:
        return torch.full((length,), torch.nan)
    labels = torch.as_tensor(value, dtype=torch.float32).flatten()
    if len(labels) != length:
        raise ValueError(f"a case has {len(labels)} labels where {length} are expected; see the datalist")
    return labels
