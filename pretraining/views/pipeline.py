"""From a batch of whole images to the crops that an objective compares: draw first, then apply what was drawn.

`ViewPipeline.apply` is a function of the batch and the parameters alone: views can be made again exactly, on any
device, and no sample's view depends on its neighbours'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pretraining.samples import RawBatch
from pretraining.views.geometry import Geometry, GeometryParams, source_map
from pretraining.views.intensity import Change
from pretraining.views.resample import Sampling, plan, resample
from pretraining.views.threads import run_all
from pretraining.views.windows import Scale, Share

CACHED_PIXELS = 4 * 224 * 224
STORED = (torch.uint8, torch.uint16, torch.float32)


@dataclass(frozen=True)
class CropSpec:
    """Some crops of one kind.

    Attributes:
        count: how many of every image.
        size: in pixels, (rows, columns) or (depth, rows, columns).
        scale: what part of the image they show, and how large.
    """

    count: int
    size: tuple[int, ...]
    scale: Scale = field(default_factory=Share)

    def __post_init__(self) -> None:
        if self.count < 1 or len(self.size) not in (2, 3) or min(self.size) < 1:
            raise ValueError(f"{self.count} crops of {self.size}: expected 1 or more crops with 2 or 3 positive sizes")


@dataclass(frozen=True)
class CropParams:
    """What was drawn for one crop of every image.

    Attributes:
        size: of the crop in pixels.
        geometry: where it lies.
        changes: parameters of the changes, in the pipeline's order.
    """

    size: tuple[int, ...]
    geometry: GeometryParams
    changes: tuple[Any, ...]


@dataclass(frozen=True)
class Views:
    """Crops of a batch.

    Attributes:
        crops: (batch, 1, *size) float32 each, about 0 to 1, in the order of the specs.
        params: enough to make the same crops again with `ViewPipeline.apply`.
    """

    crops: tuple[Tensor, ...]
    params: tuple[CropParams, ...]


@dataclass(frozen=True)
class ViewPipeline:
    """Random views: geometry in one interpolation, then changes of brightness and detail in this order.

    Attributes:
        specs: the crops (multi-crop: several specs).
        geometry: beyond the choice of the window.
        changes: applied to every crop one after the other.
    """

    specs: Sequence[CropSpec]
    geometry: Geometry = field(default_factory=Geometry)
    changes: Sequence[Change[Any]] = ()

    def __post_init__(self) -> None:
        if len({len(spec.size) for spec in self.specs}) != 1:
            raise ValueError(f"crops of {[spec.size for spec in self.specs]}: expected some, all 2-D or all 3-D")

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.specs[0].size)

    def __call__(self, batch: RawBatch, generator: torch.Generator) -> Views:
        """Draw and apply. ``generator`` is a CPU generator, wherever the images are."""
        return self.apply(batch, self.sample(batch, generator))

    def sample(self, batch: RawBatch, generator: torch.Generator) -> tuple[CropParams, ...]:
        """Draw what `apply` needs, one entry a crop; only the images' sizes are looked at."""
        self._check_shapes(batch)
        images = torch.tensor([image.shape[1:] for image in batch.images], dtype=torch.float64)
        return tuple(
            CropParams(
                size=spec.size,
                geometry=self.geometry.sample(images, spec.size, spec.scale, generator),
                changes=tuple(change.sample(len(images), generator) for change in self.changes),
            )
            for spec in self.specs
            for _ in range(spec.count)
        )

    def apply(self, batch: RawBatch, params: tuple[CropParams, ...]) -> Views:
        """Make the views that these parameters describe.

        Raises:
            ValueError: an image has the wrong number of axes, is of another type than uint8, uint16 or float32, or
                holds NaN or infinite values, or its range is empty; the message names its key.
        """
        self._check_shapes(batch)
        ranges = _checked_ranges(batch)
        count, device = len(batch), batch.images[0].device
        shapes = torch.tensor([image.shape[1:] for image in batch.images])
        crops = tuple(torch.empty(count, 1, *crop.size, device=device) for crop in params)
        tasks = []
        for whole, crop in zip(crops, params, strict=True):
            sampling = plan(shapes, source_map(crop.geometry, crop.size), crop.size)
            stride = _stride(crop.size) if device.type == "cpu" else count
            for start in range(0, count, stride):
                part = slice(start, start + stride)
                drawn = (take(sampling, part), take(crop.changes, part))
                tasks.append(partial(self._fill, whole[part], batch.images[part], ranges[part], *drawn))
        if device.type == "cpu":
            run_all(tasks)
        else:
            for task in tasks:
                task()
        return Views(crops, params)

    def _fill(
        self, crops: Tensor, images: tuple[Tensor, ...], ranges: Tensor, sampling: Sampling, changes: tuple[Any, ...]
    ) -> None:
        """Make the crops of some samples."""
        pixels = resample(images, ranges, sampling)
        for change, drawn in zip(self.changes, changes, strict=True):
            pixels = change.apply_(pixels, drawn)
        crops.copy_(pixels)

    def _check_shapes(self, batch: RawBatch) -> None:
        if not batch.images:
            raise ValueError("a batch without images has no views")
        for image, key in zip(batch.images, batch.keys, strict=True):
            if image.ndim != self.dimensions + 1 or image.shape[0] != 1 or image.numel() == 0:
                raise ValueError(
                    f"sample {key} has shape {tuple(image.shape)}, expected one channel and {self.dimensions} axes: "
                    "use views of the images' dimensions"
                )
            if image.dtype not in STORED:
                raise ValueError(f"sample {key} is {image.dtype}, expected uint8, uint16 or float32: store it again")


def take(params: Any, part: slice) -> Any:
    """The parameters of some samples only: every tensor, however deep, is cut along its first axis."""
    if isinstance(params, Tensor):
        return params[part]
    if isinstance(params, tuple) and any(is_dataclass(value) for value in params):
        return tuple(take(value, part) for value in params)
    if is_dataclass(params) and not isinstance(params, type):
        return replace(params, **{item.name: take(getattr(params, item.name), part) for item in fields(params)})
    return params


def _stride(size: tuple[int, ...]) -> int:
    """Samples to work on at once on a CPU: about what its caches hold."""
    return max(1, CACHED_PIXELS // math.prod(size))


def _checked_ranges(batch: RawBatch) -> Tensor:
    """(batch, 2) float64 on the CPU; raises ValueError for bad ranges and for pixels that are no numbers."""
    ranges = batch.ranges.to("cpu", torch.float64)
    for (black, white), key in zip(ranges.tolist(), batch.keys, strict=True):
        if not (math.isfinite(black) and math.isfinite(white) and black < white):
            raise ValueError(f"sample {key} has the range {black} to {white}, expected black below white: index again")
    floats = [place for place, image in enumerate(batch.images) if image.is_floating_point()]
    if floats:
        # One sum an image tells: NaN and infinity survive it, and float64 cannot overflow.
        sums = torch.stack([batch.images[place].sum(dtype=torch.float64) for place in floats])
        for place, total in zip(floats, sums.tolist(), strict=True):
            if not math.isfinite(total):
                raise ValueError(
                    f"sample {batch.keys[place]} holds NaN or infinite values: mend the image or leave it out"
                )
    return ranges
