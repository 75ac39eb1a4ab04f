"""Augmentation of boxes: in plane, so that slice labels stay true, and of intensity."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable
from torch import Tensor
from torch.nn import functional


class RandBoxd(Randomizable, MapTransform):  # type: ignore[misc]
    """Mirror left and right, rotate, shift and scale all slices alike; then contrast, brightness and noise.

    A coarse `mask` (channels, depth, rows', columns') in the item is moved alike.

    Args:
        keys: Of images (1, depth, rows, columns) in (0, 1).
        flip: Probability of mirroring left and right.
        rotate_deg, scale, shift: Largest rotation; largest relative change of each axis; largest shift, as a share of
            the image.
        affine: Probability of the three.
        contrast, brightness, noise: Largest relative change of contrast around the middle of the window, largest offset
            and largest standard deviation of white noise, in window widths.
    """

    def __init__(
        self,
        keys: Hashable,
        *,
        flip: float = 0.5,
        affine: float = 0.7,
        rotate_deg: float = 8.0,
        scale: float = 0.08,
        shift: float = 0.03,
        contrast: float = 0.1,
        brightness: float = 0.02,
        noise: float = 0.02,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.flip, self.affine = flip, affine
        self.rotate_deg, self.scale, self.shift = rotate_deg, scale, shift
        self.contrast, self.brightness, self.noise = contrast, brightness, noise

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            moved = [key, "mask"] if "mask" in item else [key]
            if self.R.random() < self.flip:
                item.update({name: item[name].flip(-1) for name in moved})
            if self.R.random() < self.affine:
                self._move(item, moved)
            item[key] = self._recolour(item[key])
        return item

    def _move(self, item: dict[Hashable, Any], keys: list[Hashable]) -> None:
        angle = float(np.deg2rad(self.R.uniform(-self.rotate_deg, self.rotate_deg)))
        rows, columns = (float(value) for value in 1 + self.R.uniform(-self.scale, self.scale, 2))
        down, across = (float(value) for value in 2 * self.R.uniform(-self.shift, self.shift, 2))
        item.update({key: in_plane(item[key], angle, (rows, columns), (down, across)) for key in keys})

    def _recolour(self, image: Tensor) -> Tensor:
        gain = 1 + float(self.R.uniform(-self.contrast, self.contrast))
        offset = float(self.R.uniform(-self.brightness, self.brightness))
        generator = torch.Generator().manual_seed(int(self.R.randint(2**31 - 1)))
        grain = torch.randn(image.shape, generator=generator) * float(self.R.uniform(0, self.noise))
        return ((image - 0.5) * gain + 0.5 + offset + grain).clamp_(0, 1)


def in_plane(image: Tensor, angle: float, scales: tuple[float, float], shifts: tuple[float, float]) -> Tensor:
    """Rotate (radians), scale and shift (in half images) every slice of (channels, depth, rows, columns) alike."""
    channels, depth = image.shape[:2]
    rows, columns = image.shape[-2:]
    cosine, sine, aspect = np.cos(angle), np.sin(angle), rows / columns
    theta = torch.tensor(
        [
            [scales[1] * cosine, -scales[1] * sine * aspect, shifts[1]],
            [scales[0] * sine / aspect, scales[0] * cosine, shifts[0]],
        ],
        dtype=image.dtype,
    )
    grid = functional.affine_grid(theta[None], [1, 1, rows, columns], align_corners=False)
    stacked = image.reshape(1, channels * depth, rows, columns)
    moved = functional.grid_sample(stacked, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.reshape(image.shape)
