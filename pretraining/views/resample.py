"""Crops out of images of different sizes: one interpolation for each crop, with an average in front where it shrinks.

Each sample's part of the image is averaged over blocks of n pixels on every axis (n = the rounded number of source
pixels that a crop's pixel spans), so that bilinear (trilinear) interpolation never skips a pixel. All samples' blocks
then lie on one canvas and are interpolated together. Outside the image is black, with an edge as soft as one pixel
of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pretraining.views.geometry import SourceMap, radius_squared, reach, shrinkage


@dataclass(frozen=True)
class Sampling:
    """What `resample` needs to know of each sample, on the CPU.

    Attributes:
        size: of the crop in pixels.
        lower, upper: (batch, axes) int64, the box taken out of the image.
        blocks: (batch, axes) int64, how many of its pixels are averaged.
        matrix: (batch, axes, axes) float64, as in `SourceMap`.
        middle: (batch, axes) float64, the crop's middle from the box's lower edge, in source pixels.
        distortion: (batch,) float64, as in `SourceMap`.
        softness, offset, limit: (batch, axes) float64; the share of a pixel that lies in the image is
            limit - |softness · (position from the box's edge) + offset|, from 0 to 1. Where a crop stays inside the
            image they are 0, 0 and 1.
    """

    size: tuple[int, ...]
    lower: Tensor
    upper: Tensor
    blocks: Tensor
    matrix: Tensor
    middle: Tensor
    distortion: Tensor
    softness: Tensor
    offset: Tensor
    limit: Tensor


def plan(shapes: Tensor, source: SourceMap, size: tuple[int, ...]) -> Sampling:
    """Prepare crops of ``size`` pixels out of images of these shapes, (batch, axes) int64."""
    span, far = shrinkage(source), reach(source, size)
    blocks = torch.minimum(span.round().long().clamp(min=1), shapes)
    # The part of every image that its crop needs, a block to spare on every side.
    lower = (source.centre - far).floor().long() - blocks
    lower = torch.minimum(lower.clamp(min=0), shapes - 1)
    upper = (source.centre + far).ceil().long() + blocks + 1
    # Whole blocks, except at the image's end, where the last one averages what there is.
    upper = lower + (upper - lower + blocks - 1).div(blocks, rounding_mode="floor") * blocks
    upper = torch.maximum(torch.minimum(upper, shapes), lower + 1)
    # A pixel that ends exactly on the image's edge is inside, whatever the rounding.
    inside = (source.centre - far >= -1e-6) & (source.centre + far <= shapes - 1 + 1e-6)
    half = shapes.to(torch.float64) / 2
    return Sampling(
        size=size,
        lower=lower,
        upper=upper,
        blocks=blocks,
        matrix=source.matrix,
        middle=source.centre - lower + 0.5,
        distortion=source.distortion,
        softness=torch.where(inside, 0.0, 1 / span),
        offset=torch.where(inside, 0.0, (lower - half) / span),
        limit=torch.where(inside, 1.0, half / span + 0.5),
    )


def resample(images: Sequence[Tensor], ranges: Tensor, sampling: Sampling) -> Tensor:
    """Sample a crop from every image.

    Args:
        images: (1, *spatial) each, of its own size; uint8, uint16 or float32.
        ranges: (batch, 2), the stored values that become 0 and 1; values beyond are cut off.
        sampling: where the crops' pixels lie in these images.

    Returns:
        (batch, 1, *size) float32 in [0, 1] on the images' device.
    """
    patches = [
        _patch(image, black_white, *box)
        for image, black_white, *box in zip(
            images,
            ranges.tolist(),
            sampling.lower.tolist(),
            sampling.upper.tolist(),
            sampling.blocks.tolist(),
            strict=True,
        )
    ]
    canvas = _canvas(patches)
    # Half the canvas in source pixels: what one unit of a coordinate of `grid_sample` is.
    unit = torch.tensor(canvas.shape[2:], dtype=torch.float64) / 2 * sampling.blocks
    planes = _planes(sampling, unit, canvas.device)
    grid = planes.movedim(0, -1)
    crops = functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _blacken_outside_(crops, planes, sampling, unit)


def _patch(image: Tensor, black_white: list[float], lower: list[int], upper: list[int], blocks: list[int]) -> Tensor:
    """(1, *blocks) float32 in [0, 1]: the box of an image, averaged over blocks."""
    black, white = black_white
    box = image[(slice(None), *(slice(low, high) for low, high in zip(lower, upper, strict=True)))]
    patch = box.to(torch.float32, copy=True)
    if not (image.dtype == torch.uint8 and black <= 0 and white >= 255):
        patch.clamp_(black, white)
    if patch.is_cuda and any(n > 1 for n in blocks):
        pool = functional.avg_pool2d if len(blocks) == 2 else functional.avg_pool3d
        patch = pool(patch[None], tuple(blocks), ceil_mode=True, count_include_pad=False)[0]
    else:
        for axis, n in enumerate(blocks, start=1):
            patch = _means(patch, axis, n)
    return patch.sub_(black).div_(white - black)


def _means(patch: Tensor, axis: int, n: int) -> Tensor:
    """Means of n neighbours along an axis, the last of what is left; sums of slices, for torch's pooling on a CPU goes
    pixel by pixel."""
    if n == 1:
        return patch
    whole = patch.shape[axis] // n * n
    slices = [patch[(*[slice(None)] * axis, slice(first, whole, n))] for first in range(n)]
    means = slices[0] + slices[1]
    for other in slices[2:]:
        means += other
    means /= n
    rest = patch.shape[axis] - whole
    return torch.cat([means, patch.narrow(axis, whole, rest).mean(axis, keepdim=True)], axis) if rest else means


def _canvas(patches: Sequence[Tensor]) -> Tensor:
    """(batch, 1, *spatial): the patches at the origin, their last pixels repeated to the canvas' end."""
    spatial = [max(sizes) for sizes in zip(*(patch.shape[1:] for patch in patches), strict=True)]
    canvas = torch.empty(len(patches), 1, *spatial, device=patches[0].device)
    for place, patch in zip(canvas, patches, strict=True):
        place[(slice(None), *(slice(n) for n in patch.shape[1:]))] = patch
        for axis, n in enumerate(patch.shape[1:], start=1):
            if n < place.shape[axis]:
                place.narrow(axis, n, place.shape[axis] - n).copy_(place.narrow(axis, n - 1, 1))
    return canvas


def _planes(sampling: Sampling, unit: Tensor, device: torch.device) -> Tensor:
    """(axes, batch, *size) float32 in the coordinates of `grid_sample` (last axis first, -1 to 1, edges).

    One plane a coordinate: written and read in one go, where interleaved ones would be strided.
    """
    count, axes = unit.shape
    size, ones = sampling.size, [1] * axes
    matrix = (sampling.matrix / unit[:, :, None]).to(torch.float32).to(device, non_blocking=True)
    middle = (sampling.middle / unit - 1).to(torch.float32).to(device, non_blocking=True).view(count, axes, *ones)
    offsets = [
        (torch.arange(n, dtype=torch.float32, device=device) - (n - 1) / 2).view(-1, *ones[axis + 1 :])
        for axis, n in enumerate(size)
    ]
    bend = _bend(sampling.distortion, size, device)
    planes = torch.empty(axes, count, *size, device=device)
    for row in range(axes):
        plane = planes[axes - 1 - row]
        terms = [matrix[:, row, column].view(-1, *ones) * offset for column, offset in enumerate(offsets)]
        if bend is None:
            terms[0] += middle[:, row]
        # Small sums first: only the last one is as large as the crop.
        torch.add(sum(terms[1:-1], start=terms[0]), terms[-1], out=plane)
        if bend is not None:
            plane.mul_(bend).add_(middle[:, row])
    return planes


def _bend(distortion: Tensor, size: tuple[int, ...], device: torch.device) -> Tensor | None:
    """(batch, *size): the radial factor, or None where no sample is distorted."""
    if not bool(distortion.any()):
        return None
    strength = distortion.to(torch.float32).to(device, non_blocking=True).view(-1, *[1] * len(size))
    return 1 + strength * radius_squared(size, device)


def _blacken_outside_(crops: Tensor, planes: Tensor, sampling: Sampling, unit: Tensor) -> Tensor:
    """Multiply every crop by the share of its pixels that lies in the image; overwrites ``planes`` as well."""
    # A position is unit · (coordinate + 1).
    slope = unit * sampling.softness
    columns = torch.stack([slope, slope + sampling.offset, sampling.limit]).to(crops)[..., None]
    for axis, crosses in enumerate((sampling.softness != 0).any(dim=0).tolist()):
        if crosses:
            slopes, shifts, limits = columns[:, :, axis]
            share = planes[-1 - axis].view(len(crops), -1)
            share.mul_(slopes).add_(shifts).abs_()
            torch.sub(limits, share, out=share).clamp_(0, 1)
            crops.view(len(crops), -1).mul_(share)
    return crops
