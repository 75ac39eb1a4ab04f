"""A page of example views, for people to see what the network sees."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from pretraining.samples import RawBatch
from pretraining.views.pipeline import Views

if TYPE_CHECKING:
    from PIL.Image import Image

TILE = 192
MARGIN = 8
CAPTION = 34


def contact_sheet(batch: RawBatch, views: Views, path: Path, group_names: Sequence[str] = (), samples: int = 8) -> None:
    """Write a PNG with one row a sample: the image in its range, then its crops, each captioned with its size.

    Volumes show their three orthogonal middle planes below each other (axial, coronal and sagittal if the axes are).

    Args:
        batch: whole images; a row is captioned with its key and group.
        views: made of this batch.
        path: file to write; replaced as a whole.
        group_names: names for ``batch.groups``; their numbers without.
        samples: rows at most.
    """
    from PIL import Image, ImageDraw

    count = min(samples, len(batch))
    planes = 3 if batch.images[0].ndim == 4 else 1
    row = planes * (TILE + MARGIN) + CAPTION
    page = Image.new("L", ((len(views.crops) + 1) * (TILE + MARGIN) + MARGIN, count * row + MARGIN), 255)
    draw = ImageDraw.Draw(page)
    for place in range(count):
        shown = [_in_range(batch.images[place], batch.ranges[place]), *(crop[place] for crop in views.crops)]
        group = int(batch.groups[place])
        name = group_names[group] if group < len(group_names) else f"group {group}"
        captions = [f"{batch.keys[place][:16]} {name}", *(f"view {number}" for number in range(1, len(shown)))]
        for column, (pixels, caption) in enumerate(zip(shown, captions, strict=True)):
            left, top = MARGIN + column * (TILE + MARGIN), MARGIN + place * row
            size = " x ".join(str(n) for n in pixels.shape[1:])  # the built-in font has no ×
            draw.multiline_text((left, top), f"{caption}\n{size}", fill=0, spacing=1)
            for number, plane in enumerate(_planes(pixels[0])):
                tile = _tile(plane)
                page.paste(tile, (left, top + CAPTION - MARGIN + number * (TILE + MARGIN)))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    page.save(temporary, format="PNG")
    temporary.replace(path)


def _in_range(image: Tensor, black_white: Tensor) -> Tensor:
    black, white = (float(value) for value in black_white)
    return (image.to(torch.float32) - black) / (white - black)


def _planes(pixels: Tensor) -> list[Tensor]:
    """The image itself, or the middle plane across each axis of a volume."""
    if pixels.ndim == 2:
        return [pixels]
    return [pixels.select(axis, pixels.shape[axis] // 2) for axis in range(3)]


def _tile(plane: Tensor) -> Image:
    """A plane as large as fits into a tile, its proportions kept."""
    from PIL import Image

    factor = TILE / max(plane.shape)
    size = [max(1, round(n * factor)) for n in plane.shape]
    pixels = plane.detach().to("cpu", torch.float32).clamp(0, 1)[None, None]
    scaled = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)
    return Image.fromarray((scaled[0, 0] * 255).round().to(torch.uint8).numpy())
