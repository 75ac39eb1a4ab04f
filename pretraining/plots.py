"""Pictures of a training: loss, learning rate, and where images lie in the embedding. PNG files; matplotlib, lazily."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
SMOOTHED = 0.02


def plot_training(
    path: Path,
    steps: Sequence[int],
    losses: Sequence[float],
    rates: Sequence[float],
    *,
    collapse_value: float | None = None,
) -> None:
    """Draw the loss with its running mean and its collapse value, and the learning rate below.

    Args:
        path: Of the PNG.
        steps: Optimiser steps, rising.
        losses: At those steps.
        rates: Learning rates at those steps.
        collapse_value: The loss of a network that gives every image the same embedding.

    Raises:
        ValueError: No step, or lists of different length.
    """
    if not len(steps) or not len(steps) == len(losses) == len(rates):
        raise ValueError(f"a curve needs points: {len(steps)} steps, {len(losses)} losses, {len(rates)} learning rates")
    figure = _figure(7, 5.5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot(steps, losses, color="0.75", linewidth=0.8, label="each step")
    above.plot(steps, running_mean(losses, max(1, int(SMOOTHED * len(losses)))), color="tab:blue", label="running mean")
    if collapse_value is not None:
        above.axhline(
            collapse_value, color="tab:red", linestyle="--", linewidth=1, label=f"collapse, {collapse_value:.2f}"
        )
    above.set_ylabel("loss")
    above.legend(frameon=False)
    below.plot(steps, rates, color="tab:green")
    below.set_ylabel("learning rate")
    below.set_xlabel("optimiser step")
    _save(figure, path)


def plot_embedding(
    path: Path,
    features: Floats,
    names: Sequence[str],
    *,
    method: Literal["pca", "tsne"] = "pca",
    seed: int = 0,
    title: str = "",
) -> None:
    """Draw images as points in a plane, coloured by group or label.

    Args:
        path: Of the PNG.
        features: (images, features), at least three images.
        names: (images,) group or label of each.
        method: "pca" (with the explained share on the axes) or "tsne" (shows neighbourhoods, not distances).
        seed: Of t-SNE.
        title: Above the picture.

    Raises:
        ValueError: Fewer than three images, another number of names, or an unknown method.
    """
    if len(features) < 3 or len(features) != len(names):
        raise ValueError(f"a scatter needs three images with a name each, got {len(features)} and {len(names)}")
    if method == "pca":
        points, shares = principal_plane(features)
        axes = [f"component {place + 1} ({share:.0%} of the variance)" for place, share in enumerate(shares)]
    elif method == "tsne":
        points, axes = _tsne(features, seed), ["t-SNE 1", "t-SNE 2"]
    else:
        raise ValueError(f"method '{method}'; choose pca or tsne")
    figure = _figure(6.5, 6)
    plane = figure.subplots()
    for name in sorted(set(names)):
        inside = np.array([other == name for other in names])
        plane.scatter(
            points[inside, 0], points[inside, 1], s=8, alpha=0.7, linewidths=0, label=f"{name} ({inside.sum()})"
        )
    plane.set_xlabel(axes[0])
    plane.set_ylabel(axes[1])
    plane.set_title(title)
    plane.legend(frameon=False, markerscale=2)
    _save(figure, path)


def running_mean(values: Sequence[float], window: int) -> Floats:
    """Mean of the last `window` values at each place; of fewer at the start.

    Raises:
        ValueError: The window is below 1.
    """
    if window < 1:
        raise ValueError(f"a window has at least 1 value, got {window}")
    sums = np.concatenate(([0.0], np.cumsum(np.asarray(values, dtype=np.float64))))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    means: Floats = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def principal_plane(features: Floats) -> tuple[Floats, tuple[float, float]]:
    """The two directions of largest variance.

    Args:
        features: (images, features).

    Returns:
        Points (images, 2), the largest coordinate of each direction positive, and the shares of the variance.
    """
    centred = np.asarray(features, dtype=np.float64) - np.mean(features, axis=0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(centred), 2))
    width = min(2, len(values))
    points[:, :width] = left[:, :width] * values[:width]
    largest = points[np.abs(points).argmax(axis=0), np.arange(2)]
    variance = values**2
    total = max(float(variance.sum()), 1e-300)
    shares = [float(value) / total for value in variance[:2]] + [0.0, 0.0]
    return points * np.where(largest < 0, -1, 1), (shares[0], shares[1])


def _tsne(features: Floats, seed: int) -> Floats:
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(features) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(
        np.asarray(features, np.float64)
    )
    points: Floats = plane
    return points


def _figure(width: float, height: float) -> Any:
    # Not pyplot: it keeps every figure and asks for a display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
