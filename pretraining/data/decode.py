"""One source of the archive into the images that are stored: read once, reduced, in as few bits as keep the values.

Reading is that of `bundles.common.reader`, so that pretraining sees the pixels that the service sees: MONOCHROME1
turned, HU for CT, padding filled.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bundles.common.geometry import spacing_mm
from bundles.common.headers import UnreadableImage
from bundles.common.reader import Stack, read_stack
from pretraining.data.errors import ArchiveError
from pretraining.data.whole import Pixels, Whole, pack_whole, percentiles_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """How images become stored images.

    Attributes:
        dimensions: 2 stores every slice by itself, 3 whole volumes.
        bits: 16 keeps integer values exactly (8 bits where they fit); 8 maps black…white onto 0…255 and clips.
        max_side: Longest side in pixels; larger images are averaged down, proportions kept. None for as they are.
        min_spacing_mm: 3-D only: axes finer than this are averaged down to it. None for as they are.
        percentiles: Which values of an image are black and white, where its modality has no window.
        windows: Modality to (black, white), in HU for CT.
    """

    dimensions: int = 2
    bits: Literal[8, 16] = 16
    max_side: int | None = None
    min_spacing_mm: float | None = None
    percentiles: tuple[float, float] = (1.0, 99.0)
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if self.dimensions not in {2, 3} or self.bits not in {8, 16}:
            raise ArchiveError(f"dimensions {self.dimensions} and bits {self.bits}: expected 2 or 3, and 8 or 16")
        if not 0 <= low < high <= 100:
            raise ArchiveError(f"percentiles {low} and {high}: expected 0 ≤ black < white ≤ 100")
        if self.max_side is not None and self.max_side < 1:
            raise ArchiveError(f"max_side {self.max_side}: expected at least 1 pixel")
        if self.min_spacing_mm is not None and (self.min_spacing_mm <= 0 or self.dimensions == 2):
            raise ArchiveError("min_spacing_mm must be positive, and is for 3-D; use max_side in 2-D")
        for modality, (black, white) in self.windows.items():
            if not black < white:
                raise ArchiveError(f"window of {modality}: black {black} must be below white {white}")


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """Pixels (rows, columns) or (depth, rows, columns), and the stored values that mean black and white."""

    pixels: Pixels
    black: float
    white: float


def decode(paths: tuple[Path, ...], modality: str, recipe: Recipe) -> Iterator[StoredImage | str]:
    """Yield what one source holds: a volume in 3-D, every slice in 2-D; a reason in place of each slice left out.

    Args:
        paths: A series of DICOM files, or one file.
        modality: Chooses the window.
        recipe: As above.

    Raises:
        UnreadableImage: The source cannot be read, is no volume where one is wanted, or is of no use.
    """
    stack = read_stack(paths if len(paths) > 1 else paths[0])
    if recipe.dimensions == 3:
        if len(stack.array) < 2:
            raise UnreadableImage("a single image where 3-D wants a volume")
        yield store_image(stack.array, modality, recipe, _spacing(stack))
        return
    for number, image in enumerate(stack.array, 1):
        try:
            yield store_image(image, modality, recipe)
        except UnreadableImage as error:
            if len(stack.array) == 1:
                raise
            yield f"slice {number}: {error}"


def store_image(
    image: NDArray[np.float32], modality: str, recipe: Recipe, spacing: tuple[float, ...] | None = None
) -> StoredImage:
    """Reduce and pack one image.

    Raises:
        UnreadableImage: Values that are no numbers, or the same everywhere.
    """
    # A NaN or an infinite value is always one of the two: no further pass is needed.
    if not (np.isfinite(image.min()) and np.isfinite(image.max())):
        raise UnreadableImage("it holds values that are not finite (NaN or infinite)")
    image = _reduced(image, recipe, spacing)
    low, high = float(image.min()), float(image.max())
    if low == high:
        raise UnreadableImage("every pixel has the same value")
    window = recipe.windows.get(modality)
    whole = pack_whole(image, low, high) if recipe.bits == 16 or window is None else None
    black, white = window or _percentiles(image, whole, recipe.percentiles, (low, high))
    if recipe.bits == 8:
        scaled = (image - black) * (255 / (white - black))
        return StoredImage(np.rint(np.clip(scaled, 0, 255)).astype(np.uint8), 0.0, 255.0)
    if whole is not None:
        return StoredImage(whole.pixels, black - whole.offset, white - whole.offset)
    factor = 65535 / (high - low)
    pixels = np.rint((image.astype(np.float64) - low) * factor).astype(np.uint16)
    return StoredImage(pixels, (black - low) * factor, (white - low) * factor)


def _percentiles(
    image: NDArray[np.float32], whole: Whole | None, wanted: tuple[float, float], extremes: tuple[float, float]
) -> tuple[float, float]:
    if whole is None:
        low, high = (float(value) for value in np.percentile(image, wanted))
    else:
        low, high = percentiles_of(whole, wanted)
    # A few bright pixels on an even ground: then the extremes are black and white.
    return (low, high) if low < high else extremes


def _spacing(stack: Stack) -> tuple[float, ...] | None:
    between = None if stack.geometry is None else spacing_mm(stack.geometry)
    if stack.geometry is None or between is None:
        return None
    return (between, *stack.geometry.pixel_spacing_mm)


def _reduced(image: NDArray[np.float32], recipe: Recipe, spacing: tuple[float, ...] | None) -> NDArray[np.float32]:
    size = [float(side) for side in image.shape]
    if recipe.min_spacing_mm is not None:
        if spacing is None:
            raise UnreadableImage("it has no spacing, which min_spacing_mm needs")
        size = [side * min(1.0, step / recipe.min_spacing_mm) for side, step in zip(size, spacing, strict=True)]
    if recipe.max_side is not None and max(size) > recipe.max_side:
        size = [side * recipe.max_side / max(size) for side in size]
    target = tuple(max(1, round(side)) for side in size)
    if target == image.shape:
        return image
    tensor = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    small: NDArray[np.float32] = torch.nn.functional.interpolate(tensor, size=target, mode="area")[0, 0].numpy()
    whole = np.array_equal(image, np.rint(image))
    return np.rint(small) if whole else small
