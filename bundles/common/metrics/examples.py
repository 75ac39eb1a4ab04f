"""A sheet of example images with true and predicted boxes and a heat map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics.plots import ORANGE, SKY, new_figure, save

COLUMNS = 4
BACKGROUND = (0.5, 99.5)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image of the sheet; boxes are (x0, y0, x1, y1), edges in its pixels.

    Attributes:
        image: (rows, columns), higher is brighter.
        title: Above it; nothing of the patient belongs there.
        truth: (findings, 4).
        boxes: (predictions, 4).
        scores: (predictions,), written beside the boxes.
        heat: (rows, columns), 0 to 1, laid over the image; None for no heat map.
    """

    image: NDArray[Any]
    title: str = ""
    truth: Sequence[Sequence[float]] = ()
    boxes: Sequence[Sequence[float]] = ()
    scores: Sequence[float] = ()
    heat: NDArray[Any] | None = None


def plot_examples(path: Path, examples: Sequence[Example], columns: int = COLUMNS) -> None:
    """Draw images side by side: true boxes as solid lines, predicted ones dashed with their score, heat in colour.

    Raises:
        ValueError: No image, no column, an image that is not 2-D, or heat or scores that do not fit; it names the
            title.
    """
    if not examples or columns < 1:
        raise ValueError(f"expected images and columns, got {len(examples)} and {columns}")
    for example in examples:
        _check(example)
    columns = min(columns, len(examples))
    rows = math.ceil(len(examples) / columns)
    figure = new_figure(3 * columns, 3.2 * rows)
    for axes, example in zip(figure.subplots(rows, columns, squeeze=False).ravel(), examples, strict=False):
        _draw(axes, example)
    for axes in figure.axes[len(examples) :]:
        axes.set_axis_off()
    save(figure, path)


def _draw(axes: Any, example: Example) -> None:
    low, high = np.percentile(example.image, BACKGROUND)
    height, width = example.image.shape
    # Pixel edges, as boxes have them: pixel 0 covers 0 to 1.
    extent = (0, width, height, 0)
    axes.imshow(example.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), extent=extent)
    if example.heat is not None:
        see_through = 0.55 * np.clip(example.heat, 0, 1)
        axes.imshow(example.heat, cmap="plasma", vmin=0, vmax=1, alpha=see_through, extent=extent)
    for box in example.truth:
        axes.add_patch(_rectangle(box, SKY, "-"))
    for box, score in zip(example.boxes, example.scores, strict=True):
        axes.add_patch(_rectangle(box, ORANGE, "--"))
        at = (min(max(box[0], 0), width), min(max(box[1], 0), height))
        axes.annotate(f"{score:.2f}", at, color=ORANGE, fontsize=8, xytext=(1, 1), textcoords="offset points")
    axes.set_title(example.title, fontsize=9)
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))


def _rectangle(box: Sequence[float], colour: str, line: str) -> Any:
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = box
    return Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linestyle=line, linewidth=1.4)


def _check(example: Example) -> None:
    if example.image.ndim != 2 or not example.image.size:
        raise ValueError(f"{example.title!r}: expected an image of rows and columns, got shape {example.image.shape}")
    if example.heat is not None and example.heat.shape != example.image.shape:
        raise ValueError(
            f"{example.title!r}: heat of shape {example.heat.shape} over an image of {example.image.shape}"
        )
    if len(example.boxes) != len(example.scores):
        raise ValueError(
            f"{example.title!r}: expected a score for each of {len(example.boxes)} boxes, got {len(example.scores)}"
        )
