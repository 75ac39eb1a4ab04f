"""Which part of an image a crop shows, before rotation and the like: a window in source pixels.

Coordinates are edges: 0 is the outer edge of the first pixel, ``n`` that of the last. Axes are (rows, columns) or
(depth, rows, columns). All tensors are float64 on the CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pretraining.views.draws import Bounds, check_bounds, uniform


@dataclass(frozen=True)
class Whole:
    """The whole image. ``keep_proportions`` pads it with black to the crop's shape, otherwise it is stretched."""

    keep_proportions: bool = True

    def extents(self, region: Tensor, size: tuple[int, ...], _generator: torch.Generator) -> Tensor:
        """Extents of the windows in source pixels, (batch, axes), for regions of these extents."""
        if not self.keep_proportions:
            return region
        shape = torch.tensor(size, dtype=torch.float64)
        return (region / shape).amax(dim=1, keepdim=True) * shape


@dataclass(frozen=True)
class Share:
    """A random part of the image, resized to the crop (random resized crop of SimCLR, Chen et al. 2020, appendix A).

    Attributes:
        area: share of the image's area (volume in 3-D) that the window covers.
        aspect: columns over rows of the window, relative to the crop's own shape, drawn log-uniformly; in 3-D also
            columns over depth. An axis that would leave the image is cut at its edge.
    """

    area: Bounds = (0.08, 1.0)
    aspect: Bounds = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        check_bounds("area", self.area, 0)
        check_bounds("aspect", self.aspect, 0)
        if not 0 < self.area[0] <= self.area[1] <= 1 or self.aspect[0] <= 0:
            raise ValueError(f"area {self.area} must lie in (0, 1] and aspect {self.aspect} above 0")

    def extents(self, region: Tensor, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Extents of the windows in source pixels, (batch, axes), for regions of these extents."""
        count, axes = region.shape
        shape = torch.tensor(size, dtype=torch.float64)
        volume = uniform((count, 1), self.area, generator) * region.prod(dim=1, keepdim=True)
        logs = uniform((count, axes - 1), (math.log(self.aspect[0]), math.log(self.aspect[1])), generator)
        logs = torch.cat([-logs, torch.zeros(count, 1, dtype=torch.float64)], dim=1)
        stretch = (logs - logs.mean(dim=1, keepdim=True)).exp()
        window = (volume / shape.prod()) ** (1 / axes) * shape * stretch
        return torch.minimum(window, region)


@dataclass(frozen=True)
class ImageSize:
    """The image is first rescaled, then the crop is cut out at its own resolution (seed 001, section 3.3 and table 1).

    Two numbers bound the longer side and the proportions stay; two tuples bound every axis, and all axes take the
    same share of their range. An image that would be smaller than the crop is enlarged to cover it.

    Attributes:
        low, high: size in pixels after rescaling.
        fraction: bounds of new size over old (seed 001: 0.1 to 0.7); only with two numbers. An image that no
            fraction brings into the size range follows the size range alone.
    """

    low: int | tuple[int, ...]
    high: int | tuple[int, ...]
    fraction: Bounds | None = None

    def __post_init__(self) -> None:
        lows, highs = _axes(self.low), _axes(self.high)
        if len(lows) != len(highs) or any(not 0 < low <= high for low, high in zip(lows, highs, strict=False)):
            raise ValueError(f"image sizes from {self.low} to {self.high}: expected 0 < low <= high on every axis")
        if self.fraction is not None:
            check_bounds("fraction", self.fraction, 0)
            if isinstance(self.low, tuple):
                raise ValueError("fraction goes with two numbers as image sizes, not with a size for every axis")

    def extents(self, region: Tensor, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Extents of the windows in source pixels, (batch, axes), for regions of these extents."""
        shape = torch.tensor(size, dtype=torch.float64)
        where = uniform((len(region), 1), (0, 1), generator)
        low, high = torch.tensor(self.low, dtype=torch.float64), torch.tensor(self.high, dtype=torch.float64)
        if low.ndim:
            if len(low) != len(size):
                raise ValueError(f"image sizes {self.low} have {len(low)} axes, the crop {size} has {len(size)}")
            rescaled = torch.maximum(low + where * (high - low), shape)
            return region / rescaled * shape
        longer = region.amax(dim=1, keepdim=True)
        least, most = low / longer, high / longer
        if self.fraction is not None:
            both = torch.maximum(least, least.new_tensor(self.fraction[0]))
            ceiling = torch.minimum(most, most.new_tensor(self.fraction[1]))
            least, most = torch.where(both <= ceiling, both, least), torch.where(both <= ceiling, ceiling, most)
        factor = least + where * (most - least)
        factor = torch.maximum(factor, (shape / region).amax(dim=1, keepdim=True))
        return shape / factor


Scale = Whole | Share | ImageSize


def _axes(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def place(
    images: Tensor, size: tuple[int, ...], scale: Scale, border: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a window for every image.

    Args:
        images: (batch, axes) sizes of the images in pixels.
        size: size of the crop in pixels.
        scale: how large the window is.
        border: up to this share of the image is cut off on every side beforehand, drawn for each side.
        generator: a CPU generator.

    Returns:
        Lower edges and extents, (batch, axes) each. A window larger than its image lies centred on it.
    """
    cuts = uniform((2, *images.shape), (0, border), generator) * images
    region = images - cuts[0] - cuts[1]
    extent = scale.extents(region, size, generator)
    where = uniform(images.shape, (0, 1), generator)
    where = torch.where(extent < region, where, torch.full_like(where, 0.5))
    return cuts[0] + where * (region - extent), extent
