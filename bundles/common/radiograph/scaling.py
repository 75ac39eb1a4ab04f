"""From what the one reader hands over to a network's input; the grey scale is `bundles.common.radiograph.grey`'s."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from bundles.common.headers import UnreadableImage
from bundles.common.radiograph.grey import Pixels, normalised
from bundles.common.radiograph.placement import Placement, placed

SMALLEST_SIDE = 64
LOST = ("affine", "original_affine", "spatial_shape", "original_channel_dim")
"""Metadata of the source's pixels that say nothing of the scaled ones."""


class Radiographd(MapTransform):  # type: ignore[misc]  # MONAI is untyped
    """One radiograph to (1, size, size) of 0 to 1, and `placement` (4,) that leads back; see `Placement.from_tensor`.

    Args:
        keys: Of images (columns, rows, 1), as `LoadImaged` with `bundles.common.monai_reader.SeriesReader` gives them.
        size: Side of the network's input in pixels.
    """

    def __init__(self, keys: Hashable, size: int = 512) -> None:
        super().__init__(keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item; the image's metadata stay with it.

        Raises:
            UnreadableImage: It holds several images, is smaller than 64 pixels, or shows nothing.
        """
        item = dict(data)
        for key in self.key_iterator(item):
            image = item[key]
            pixels = torch.from_numpy(normalised(_single(image, _name(item))))
            placement = Placement.fitting((pixels.shape[0], pixels.shape[1]), self.size)
            meta = {name: value for name, value in getattr(image, "meta", {}).items() if name not in LOST}
            item[key] = MetaTensor(placed(pixels, placement, self.size), meta=meta)
            item["placement"] = placement.as_tensor()
        return item


def _single(image: Tensor, name: str) -> Pixels:
    """(columns, rows, 1) → (rows, columns)."""
    if image.ndim != 3 or image.shape[2] != 1:
        raise UnreadableImage(f"{name}: expected one radiograph, got {tuple(image.shape)} (columns, rows, images)")
    if min(image.shape[:2]) < SMALLEST_SIDE:
        columns, rows = image.shape[:2]
        raise UnreadableImage(
            f"{name}: {columns} × {rows} pixels; a radiograph has at least {SMALLEST_SIDE} on each side"
        )
    pixels: Pixels = np.asarray(image, dtype=np.float32)[..., 0].T
    return pixels


def _name(item: Mapping[Hashable, Any]) -> str:
    return str(item.get("name", "the series"))
