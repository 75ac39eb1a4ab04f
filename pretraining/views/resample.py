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
class _Boxes:
    """Sizes of a batch's images, the boxes taken out of them, and how many pixels are averaged: (batch, axes) int64."""

    shapes: Tensor
    lower: Tensor
    upper: Tensor
    blocks: Tensor


def resample(images: Sequence[Tensor], ranges: Tensor, source: SourceMap, size: tuple[int, ...]) -> Tensor:
    """Sample a crop from every image.

    Args:
        images: (1, *spatial) each, of its own size; uint8, uint16 or float32.
        ranges: (batch, 2), the stored values that become 0 and 1; values beyond are cut off.
        source: where the crop's pixels lie in the images.
        size: of the crop in pixels.

    Returns:
        (batch, 1, *size) float32 in [0, 1] on the images' device.
    """
    shapes = torch.tensor([image.shape[1:] for image in images], dtype=torch.int64)
    boxes = _boxes(shapes, source, size)
    patches = [
        _patch(image, black_white, *box)
        for image, black_white, *box in zip(
            images,
            ranges.tolist(),
            boxes.lower.tolist(),
            boxes.upper.tolist(),
            boxes.blocks.tolist(),
            strict=True,
        )
    ]
    canvas = _canvas(patches)
    extents = torch.tensor(canvas.shape[2:], dtype=torch.float64)
    grid = _grid(source, boxes, extents, size, canvas.device)
    crops = functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _blacken_outside(crops, grid, source, boxes, extents)


def _boxes(shapes: Tensor, source: SourceMap, size: tuple[int, ...]) -> _Boxes:
    """The part of every image that its crop needs, a block to spare on every side."""
    blocks = torch.minimum(shrinkage(source).round().long().clamp(min=1), shapes)
    far = reach(source, size)
    lower = (source.centre - far).floor().long() - blocks
    lower = torch.minimum(lower.clamp(min=0), shapes - 1)
    upper = (source.centre + far).ceil().long() + blocks + 1
    # Whole blocks, except at the image's end, where the last one averages what there is.
    upper = lower + (upper - lower + blocks - 1).div(blocks, rounding_mode="floor") * blocks
    upper = torch.maximum(torch.minimum(upper, shapes), lower + 1)
    return _Boxes(shapes, lower, upper, blocks)


def _patch(image: Tensor, black_white: list[float], lower: list[int], upper: list[int], blocks: list[int]) -> Tensor:
    """(1, *blocks) float32 in [0, 1]: the box of an image, averaged over blocks."""
    black, white = black_white
    box = image[(slice(None), *(slice(low, high) for low, high in zip(lower, upper, strict=True)))]
    patch = box.to(torch.float32, copy=True).clamp_(black, white)
    if any(n > 1 for n in blocks):
        pool = functional.avg_pool2d if len(blocks) == 2 else functional.avg_pool3d
        patch = pool(patch[None], tuple(blocks), ceil_mode=True, count_include_pad=False)[0]
    return patch.sub_(black).div_(white - black)


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


def _grid(source: SourceMap, boxes: _Boxes, canvas: Tensor, size: tuple[int, ...], device: torch.device) -> Tensor:
    """(batch, *size, axes) float32 in the coordinates of `grid_sample` (last axis first, -1 to 1, edges)."""
    count, axes = source.centre.shape
    scale = 2 / (canvas * boxes.blocks)
    matrix = (source.matrix * scale[:, :, None]).to(torch.float32).to(device, non_blocking=True)
    middle = (source.centre - boxes.lower + 0.5) * scale - 1
    middle = middle.to(torch.float32).to(device, non_blocking=True)
    offsets = [torch.arange(n, dtype=torch.float32, device=device) - (n - 1) / 2 for n in size]
    bend = _bend(source.distortion, size, device)
    # One plane a coordinate: written and read in one go, where interleaved ones would be strided.
    grid = torch.empty(axes, count, *size, device=device)
    for row in range(axes):
        total = torch.zeros((), device=device)
        for column, offset in enumerate(offsets):
            along = [1] * (axes + 1)
            along[column + 1] = -1
            total = total + matrix[:, row, column].view(-1, *[1] * axes) * offset.view(along)
        if bend is not None:
            total = total * bend
        torch.add(total, middle[:, row].view(-1, *[1] * axes), out=grid[axes - 1 - row])
    return grid.movedim(0, -1)


def _bend(distortion: Tensor, size: tuple[int, ...], device: torch.device) -> Tensor | None:
    """(batch, *size): the radial factor, or None where no sample is distorted."""
    if not bool(distortion.any()):
        return None
    strength = distortion.to(torch.float32).to(device, non_blocking=True).view(-1, *[1] * len(size))
    return 1 + strength * radius_squared(size, device)


def _blacken_outside(crops: Tensor, grid: Tensor, source: SourceMap, boxes: _Boxes, canvas: Tensor) -> Tensor:
    """Multiply every crop by the share of its pixels that lies in the image."""
    far = reach(source, tuple(crops.shape[2:]))
    # A pixel that ends exactly on the image's edge is inside, whatever the rounding.
    inside = (source.centre - far >= -1e-6) & (source.centre + far <= boxes.shapes - 1 + 1e-6)
    rows = (~inside.all(dim=1)).nonzero().flatten()
    if not len(rows):
        return crops
    span = shrinkage(source)[rows]
    alpha = (canvas / 2) * boxes.blocks[rows]
    beta = (canvas / 2) * boxes.blocks[rows] + boxes.lower[rows] - 0.5
    half = boxes.shapes[rows].to(torch.float64) / 2
    # inside = (half - |position - (half - 0.5)|) / span + 0.5, position = alpha · grid + beta
    slope = (alpha / span).to(crops)
    shift = ((beta - half + 0.5) / span).to(crops)
    limit = (half / span + 0.5).to(crops)
    at = rows.to(crops.device)
    share = torch.ones((), device=crops.device)
    axes = grid.shape[-1]
    for axis in range(axes):
        column = [value[:, axis].view(-1, *[1] * axes) for value in (slope, shift, limit)]
        position = grid[at, ..., axes - 1 - axis] * column[0] + column[1]
        share = share * (column[2] - position.abs_()).clamp_(0, 1)
    crops[at, 0] *= share
    return crops
