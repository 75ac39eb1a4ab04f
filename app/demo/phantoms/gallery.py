"""A contact sheet of phantoms in the window radiologists look for blood with."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from app.demo.phantoms.bleeds import KINDS
from app.demo.phantoms.phantom import Phantom, make_phantom

WINDOW = (55.0, 200.0)  # centre and width, HU
_EDGE, _SLICES, _LABEL = 192, 6, 16


def windowed(image_hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Hounsfield units to grey values in the window of `WINDOW`."""
    center, width = WINDOW
    return np.asarray(np.clip((image_hu.astype(np.float32) - center) / width + 0.5, 0, 1) * 255, dtype=np.uint8)


def _chosen(phantom: Phantom) -> list[int]:
    """The slice with most blood in it and some around it; evenly spaced ones where there is none."""
    count = len(phantom.volume_hu)
    if not phantom.truth.presence:
        return [round(count * share) for share in np.linspace(0.2, 0.85, _SLICES)]
    best = int((phantom.mask > 0).sum(axis=(1, 2)).argmax())
    return [min(max(best + step, 0), count - 1) for step in (-4, -2, -1, 0, 1, 3)]


def strip(phantom: Phantom) -> Image.Image:
    """One phantom: six slices side by side; a seventh picture repeats the fourth with the truth in red."""
    sheet = Image.new("RGB", ((_SLICES + 1) * _EDGE, _EDGE + _LABEL))
    chosen = _chosen(phantom)
    pictures = [Image.fromarray(windowed(phantom.volume_hu[index])).convert("RGB") for index in chosen]
    marked = np.stack([windowed(phantom.volume_hu[chosen[3]])] * 3, axis=-1)
    marked[phantom.mask[chosen[3]] > 0] = (230, 40, 40)
    pictures.append(Image.fromarray(marked))
    for index, picture in enumerate(pictures):
        sheet.paste(picture.resize((_EDGE, _EDGE), Image.Resampling.BILINEAR), (index * _EDGE, _LABEL))
    names = ", ".join(kind for kind, there in zip(KINDS, phantom.truth.types, strict=True) if there) or "no bleed"
    ImageDraw.Draw(sheet).text((4, 2), f"phantom {phantom.seed}: {names}", fill=(255, 255, 255))
    return sheet


def gallery(folder: Path, seed: int = 1, each: int = 2, size: int = 256) -> Path:
    """Draw phantoms with every kind of bleed, and without, into `folder/gallery.png`.

    Args:
        folder: Receives the picture.
        seed: Of the first phantom.
        each: Phantoms of each kind.
        size: Rows and columns of the phantoms.

    Returns:
        Path of the picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted: list[tuple[str, ...]] = [(kind,) for kind in KINDS for _ in range(each)] + [()] * each
    strips = [strip(make_phantom(seed + index, size, kinds=kinds)) for index, kinds in enumerate(wanted)]
    sheet = Image.new("RGB", (strips[0].width, strips[0].height * len(strips)))
    for index, picture in enumerate(strips):
        sheet.paste(picture, (0, index * picture.height))
    path = folder / "gallery.png"
    sheet.save(path)
    return path
