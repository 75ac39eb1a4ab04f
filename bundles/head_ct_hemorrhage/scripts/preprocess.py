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

from bundles.common.sampling import Floats, Grid, grid_rows, grids_of, sampling_weights
from bundles.head_ct_hemorrhage.scripts.brain import find_brain
from bundles.head_ct_hemorrhage.scripts.network import TYPES
from bundles.head_ct_hemorrhage.scripts.stack import source_of, volume_of
from bundles.head_ct_hemorrhage.scripts.volume import DEPTH, Frame, resample

BOX = (40, 224, 192)
CENTER_HU = 55.0
WIDTH_HU = 200.0
MASK_CELL = 2
"""Pixels of the box, in plane, that share one cell of the mask for training: the head works at that resolution."""
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
    - `grids` (3, 3) float64: outer faces in millimetres of the gantry frame, and count, of the box's depth, rows and
      columns; `source_shape` (3,), `source_affine` (4, 4) to RAS and `source_origins` (slices, 3) LPS: by these
      postprocessing brings a mask back to the voxels of the series.

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
            volume, source = volume_of(item[key]), source_of(item[key])
            grids = find_brain(volume).grids(self.box)
            meta = {name: item[key].meta[name] for name in KEPT_META if name in item[key].meta}
            item[key] = MetaTensor(torch.from_numpy(resample(volume, grids))[None], meta=meta)
            item["slice_positions"] = torch.from_numpy(slice_positions(volume.frame, grids[0]))
            item["slice_weights"] = torch.from_numpy(slice_weights(volume.frame, grids[0]))
            item.update(source, grids=torch.from_numpy(grid_rows(grids)))
        return item


class BleedMaskd(Transform):  # type: ignore[misc]
    """Bring a label mask into the box for the segmentation head, at half the box's in-plane resolution.

    Reads `mask`, loaded like the image: 0 nothing, any other value blood of whatever type; optional. Writes `mask`
    (1, depth, rows / 2, columns / 2) uint8, the share of each cell that is blood times 255, and `mask_known` (1,).
    Comes after `BrainBoxd`, whose `grids` say where the box lies.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        depth, rows, columns = grids_of(item["grids"])
        cells = (depth, _coarser(rows), _coarser(columns))
        mask = item.pop("mask", None)
        item["mask_known"] = torch.tensor([float(mask is not None)])
        share = np.zeros([grid.count for grid in cells], np.float32)
        if mask is not None:
            labels = volume_of(mask)
            if labels.hu.any():
                blood = replace(labels, hu=(labels.hu > 0).astype(np.float32))
                share = resample(blood, cells, outside=0.0)
        item["mask"] = torch.from_numpy(share)[None].clamp_(0, 1).mul_(255).round_().to(torch.uint8)
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

    Reads `label` (0 or 1), `types` (five 0/1/null) and `slices` (0/1 for each source slice), each optional; writes
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
        for name in ("slice_positions", "grids", "source_shape", "source_affine", "source_origins"):
            item.pop(name, None)
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


def _coarser(grid: Grid) -> Grid:
    """The same extent in half as many voxels, at least one."""
    return Grid(grid.low, grid.high, max(1, grid.count // MASK_CELL))


def slice_positions(frame: Frame, depth: Grid) -> Floats:
    """Place of every source slice among the box slices, in source order; empty where source slices are not axial."""
    if frame.axis != DEPTH:
        return np.zeros(0, np.float32)
    heights = frame.positions[DEPTH]
    positions = np.empty(len(heights), np.float32)
    positions[frame.source] = (heights - depth.low) / depth.step - 0.5
    return positions


def slice_weights(frame: Frame, depth: Grid) -> Floats:
    """Share of every source slice, in source order, in every box slice, (depth, source slices)."""
    if frame.axis != DEPTH:
        return np.zeros((depth.count, 0), np.float32)
    heights = frame.positions[DEPTH]
    weights = np.empty((depth.count, len(heights)), np.float32)
    weights[:, frame.source] = sampling_weights(heights, depth, clamp=True)
    return weights


def _labels(value: Any, length: int) -> torch.Tensor:
    if value is None:
        return torch.full((length,), torch.nan)
    known = [torch.nan if each is None else each for each in value] if isinstance(value, list) else value
    labels = torch.as_tensor(known, dtype=torch.float32).flatten()
    if len(labels) != length:
        raise ValueError(f"a case has {len(labels)} labels where {length} are expected; see the datalist")
    return labels
