"""A contact sheet of MR phantoms: three planes through each, and its lesions outlined."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from app.demo.phantoms.mr.phantom import MrPhantom, make_mr_phantom
from app.demo.phantoms.mr.studies import demo_diameters
from app.demo.phantoms.training_set import case_seed

_EDGE, _LABEL, _TOP = 240, 16, 1.9  # signal that is shown white, in units of white matter


def shown(image: NDArray[np.float32]) -> Image.Image:
    """Signal as grey values."""
    return Image.fromarray((np.clip(image / _TOP, 0, 1) * 255).astype(np.uint8)).convert("RGB")


def _outlined(image: NDArray[np.float32], mask: NDArray[np.uint8]) -> Image.Image:
    pixels = np.array(shown(image))
    rim = ndimage.binary_dilation(mask > 0, iterations=2) & ~ndimage.binary_dilation(mask > 0)
    pixels[rim] = (255, 160, 30)
    return Image.fromarray(pixels)


def _square(picture: Image.Image, ratio: float) -> Image.Image:
    """Resize a picture whose rows are `ratio` times as far apart as its columns into a square place."""
    height, width = picture.height * ratio, float(picture.width)
    scale = _EDGE / max(height, width)
    resized = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)
    place = Image.new("RGB", (_EDGE, _EDGE))
    place.paste(resized, ((_EDGE - resized.width) // 2, (_EDGE - resized.height) // 2))
    return place


def strip(phantom: MrPhantom) -> Image.Image:
    """One phantom: three slices, one of them again with its truth, and the two planes across the slices."""
    volume, mask = phantom.volume, phantom.mask
    middle = phantom.lesions[0].middle_slice if phantom.lesions else round(0.55 * len(volume))
    ratio = phantom.scan.slice_mm / phantom.scan.pixel_mm
    rows, columns = volume.shape[1:]
    small = phantom.lesions[-1].middle_slice if phantom.lesions else round(0.4 * len(volume))
    across = [volume[:, rows // 2, :], volume[:, :, columns // 2]]
    # Slices run to the right in sagittal stacks, upwards in axial ones; coronal stacks lie between.
    sagittal = phantom.scan.plane == "sagittal"
    upright = [image.T if sagittal else image[::-1] for image in across]
    pictures = [
        _square(shown(volume[middle]), 1.0),
        _square(_outlined(volume[middle], mask[middle]), 1.0),
        _square(_outlined(volume[small], mask[small]), 1.0),
        _square(shown(volume[round(0.3 * len(volume))]), 1.0),
        *(_square(shown(image), 1 / ratio if sagittal else ratio) for image in upright),
    ]
    sheet = Image.new("RGB", (len(pictures) * _EDGE, _EDGE + _LABEL))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * _EDGE, _LABEL))
    sizes = ", ".join(f"{lesion.diameter_mm:.0f}{lesion.kind[0]}" for lesion in phantom.lesions) or "no metastasis"
    kind = "enhanced" if phantom.signals.enhanced else "plain"
    words = f"phantom {phantom.seed}, {phantom.scan.plane}, {kind}{', stripped' * phantom.stripped}: {sizes}"
    ImageDraw.Draw(sheet).text((4, 2), words, fill=(255, 255, 255))
    return sheet


def contact_sheet(folder: Path, seed: int = 1, count: int = 6, spacing_mm: float | None = 1.0) -> Path:
    """Draw phantoms into `folder/mr.png`: every second with metastases, the last without contrast agent.

    Args:
        folder: Receives the picture.
        seed: Of the set they are from.
        count: How many.
        spacing_mm: As `sample_scan` takes it; None for a clinical protocol.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strips = []
    for index in range(count):
        number, plain = case_seed(seed, index), index == count - 1 and count > 1
        chosen = () if plain else demo_diameters(index, number)
        strips.append(strip(make_mr_phantom(number, diameters=chosen, enhanced=not plain, spacing_mm=spacing_mm)))
    sheet = Image.new("RGB", (strips[0].width, strips[0].height * len(strips)))
    for index, picture in enumerate(strips):
        sheet.paste(picture, (0, index * picture.height))
    path = folder / "mr.png"
    sheet.save(path)
    return path
