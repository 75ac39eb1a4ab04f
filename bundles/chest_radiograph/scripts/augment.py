"""Augmentation: mirror, scale and shift, with which boxes stay exact, then gamma, brightness and noise.

No rotation: the box around a rotated box is larger than what it is around.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Randomizable, Transform
from torch import Tensor
from torch.nn import functional

from bundles.common.boxes.geometry import area, clip


class RandRadiographd(Randomizable, Transform):  # type: ignore[misc]  # MONAI is untyped
    """Change `image` (1, rows, columns) of 0 to 1, and `boxes` with it; the image becomes float32.

    A box of which less than `least_visible` is left is dropped, and its class is no longer `boxed`.

    Args:
        mirror: Probability of mirroring left and right. Neither finding has a side.
        scale, shift: Largest relative change of size; largest shift, as a share of the image.
        gamma: Largest exponent, and 1 / it the smallest.
        contrast, brightness, noise: Largest relative change of contrast, offset, and standard deviation of white noise.
        least_visible: Share of a box's area.
    """

    def __init__(
        self,
        *,
        mirror: float = 0.5,
        scale: float = 0.15,
        shift: float = 0.06,
        gamma: float = 1.3,
        contrast: float = 0.1,
        brightness: float = 0.05,
        noise: float = 0.02,
        least_visible: float = 0.3,
    ) -> None:
        self.mirror, self.scale, self.shift = mirror, scale, shift
        self.gamma, self.contrast, self.brightness, self.noise = gamma, contrast, brightness, noise
        self.least_visible = least_visible

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item of `TrainingItemd`."""
        item = dict(data)
        factor = 1 + float(self.R.uniform(-self.scale, self.scale))
        across = -factor if self.R.random() < self.mirror else factor
        right, down = (float(value) for value in self.R.uniform(-self.shift, self.shift, 2))
        item["image"] = self._recoloured(moved(item["image"].float(), (factor, across), (down, right)))
        self._move_boxes(item, (factor, across), (down, right))
        return item

    def _move_boxes(self, item: dict[Hashable, Any], factors: tuple[float, float], shifts: tuple[float, float]) -> None:
        rows, columns = item["image"].shape[-2:]
        whole = moved_boxes(item["boxes"], (rows, columns), factors, shifts)
        visible = clip(whole, rows, columns)
        kept = area(visible) >= self.least_visible * area(whole)
        boxed = item["boxed"].clone()
        boxed[item["classes"][~kept]] = False
        item["boxes"], item["classes"], item["boxed"] = visible[kept], item["classes"][kept], boxed

    def _recoloured(self, image: Tensor) -> Tensor:
        exponent = float(self.gamma ** self.R.uniform(-1, 1))
        gain = 1 + float(self.R.uniform(-self.contrast, self.contrast))
        offset = float(self.R.uniform(-self.brightness, self.brightness))
        generator = torch.Generator().manual_seed(int(self.R.randint(2**31 - 1)))
        grain = torch.randn(image.shape, generator=generator) * float(self.R.uniform(0, self.noise))
        return ((image.clamp(0, 1) ** exponent - 0.5) * gain + 0.5 + offset + grain).clamp_(0, 1)


def moved(image: Tensor, factors: tuple[float, float], shifts: tuple[float, float]) -> Tensor:
    """Scale (1, rows, columns) around its centre by (down, across), then shift by shares of it; outside is 0.

    A negative factor mirrors.
    """
    (down, across), (shift_down, shift_right) = factors, shifts
    theta = image.new_tensor([[1 / across, 0, -2 * shift_right / across], [0, 1 / down, -2 * shift_down / down]])
    grid = functional.affine_grid(theta[None], [1, *image.shape], align_corners=False)
    return functional.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def moved_boxes(
    boxes: Tensor, size: tuple[int, int], factors: tuple[float, float], shifts: tuple[float, float]
) -> Tensor:
    """Where boxes (…, 4) are after `moved`, of an image of `size` (rows, columns); they may reach out of it."""
    middle = boxes.new_tensor([size[1] / 2, size[0] / 2])
    factor = boxes.new_tensor([factors[1], factors[0]])
    shift = boxes.new_tensor([shifts[1] * size[1], shifts[0] * size[0]])
    first, second = ((edges - middle) * factor + middle + shift for edges in (boxes[..., :2], boxes[..., 2:]))
    return torch.cat((torch.minimum(first, second), torch.maximum(first, second)), dim=-1)
