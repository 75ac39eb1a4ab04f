"""How much a probability moves under gamma, rotation and scale, as they differ between machines (seed 001, Fig. 7)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

Image = NDArray[Any]
Predict = Callable[[Image], float]
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an image; the default leaves it as it is.

    Attributes:
        gamma: Exponent of the values after scaling them to 0 to 1.
        rotation_deg: About the centre, counter-clockwise on the screen.
        scale: Above 1 enlarges.
    """

    gamma: float = 1.0
    rotation_deg: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Ranges:
    """From where changes are drawn, uniformly; bounds that are equal change nothing."""

    gamma: Bounds = (1.0, 1.0)
    rotation_deg: Bounds = (0.0, 0.0)
    scale: Bounds = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Deviation:
    """One row of the table.

    Attributes:
        image: Index of the image.
        kind: Of the change.
        change: What was done.
        before, after: Probability.
    """

    image: int
    kind: str
    change: Change
    before: float
    after: float

    @property
    def relative(self) -> float:
        """(after − before) / before; NaN where the probability was 0."""
        return (self.after - self.before) / self.before if self.before else float("nan")


@dataclass(frozen=True, slots=True)
class Spread:
    """Relative deviations of one kind of change, as its box plot shows them; NaN ones are left out.

    Attributes:
        rows: Deviations counted.
        median, quartile_low, quartile_high, low, high: Of the relative deviation; low and high are its 2.5 and 97.5 %
            percentiles.
        mean_absolute: Mean of its size.
    """

    rows: int
    median: float
    quartile_low: float
    quartile_high: float
    low: float
    high: float
    mean_absolute: float


# Gamma is the paper's. For rotation and scale it names no range: these are ours, of the order of positioning and of
# distance.
KINDS: Mapping[str, Ranges] = MappingProxyType(
    {
        "gamma": Ranges(gamma=(1.8, 2.6)),
        "rotation": Ranges(rotation_deg=(-10, 10)),
        "scale": Ranges(scale=(0.9, 1.1)),
        "all": Ranges(gamma=(1.8, 2.6), rotation_deg=(-10, 10), scale=(0.9, 1.1)),
    }
)


def measure_robustness(
    predict: Predict,
    images: Sequence[Image],
    *,
    kinds: Mapping[str, Ranges] = KINDS,
    draws: int = 50,
    seed: int = 0,
) -> tuple[Deviation, ...]:
    """Probability of every image before and after random changes; the paper takes 50 images and 50 changes of each.

    Args:
        predict: Probability of one image; called 1 + kinds · draws times an image.
        images: (rows, columns) each, of any size and number type, as `predict` takes them.
        kinds: Ranges by name.
        draws: Changes of each kind and image.
        seed: Of the draws, which are the same for every model.

    Raises:
        ValueError: No image or no draw, an image that is not 2-D or not finite, or a probability outside of 0 to 1; it
            names the image by its place.
    """
    if not images or draws < 1 or not kinds:
        raise ValueError(f"expected images, kinds and draws, got {len(images)}, {len(kinds)} and {draws}")
    generator = np.random.default_rng(seed)
    table = []
    for index, image in enumerate(images):
        before = _probability(predict(image), index)
        for kind, ranges in kinds.items():
            for _ in range(draws):
                change = draw(ranges, generator)
                after = _probability(predict(changed(image, change)), index)
                table.append(Deviation(index, kind, change, before, after))
    return tuple(table)


def spread(table: Sequence[Deviation]) -> dict[str, Spread]:
    """Summary of the relative deviations by kind of change."""
    kinds = dict.fromkeys(row.kind for row in table)
    return {kind: _spread([row.relative for row in table if row.kind == kind]) for kind in kinds}


def draw(ranges: Ranges, generator: np.random.Generator) -> Change:
    """A change, each part uniform within its bounds."""
    return Change(*(float(generator.uniform(*bounds)) for bounds in (ranges.gamma, ranges.rotation_deg, ranges.scale)))


def changed(image: Image, change: Change) -> Image:
    """The image after gamma, then rotation and scale in one linear interpolation.

    What comes in from outside is the minimum. Size and number type stay; whole numbers are rounded.

    Raises:
        ValueError: The image is not 2-D, is empty or is not finite.
    """
    if image.ndim != 2 or not image.size or not np.isfinite(image).all():
        raise ValueError(f"expected a finite image of rows and columns, got shape {image.shape}")
    low, high = float(image.min()), float(image.max())
    values = image.astype(np.float64)
    if change.gamma != 1 and high > low:
        values = low + (high - low) * ((values - low) / (high - low)) ** change.gamma
    if change.rotation_deg or change.scale != 1:
        angle = np.deg2rad(change.rotation_deg)
        # Rows run down: from a place in the result back to the source.
        back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / change.scale
        centre = (np.array(image.shape) - 1) / 2
        values = affine_transform(values, back, centre - back @ centre, order=1, mode="grid-constant", cval=low)
    if np.issubdtype(image.dtype, np.integer):
        values = np.rint(values)
    result: Image = values.astype(image.dtype)
    return result


def _probability(value: float, index: int) -> float:
    if not 0 <= float(value) <= 1:
        raise ValueError(f"image {index}: expected a probability between 0 and 1, got {value}")
    return float(value)


def _spread(relative: Sequence[float]) -> Spread:
    values = np.array([value for value in relative if not np.isnan(value)])
    if not len(values):
        return Spread(0, *[float("nan")] * 6)
    low, first, median, third, high = (float(v) for v in np.percentile(values, (2.5, 25, 50, 75, 97.5)))
    return Spread(len(values), median, first, third, low, high, float(np.abs(values).mean()))
