"""Operating points: where to cut a score so that it becomes a call. A case is called at or above the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundles.common.metrics.inputs import Flags, Scores, both_classes, scored

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with what it gave on the cases that it was chosen on.

    Attributes:
        threshold: Cases at or above are called.
        sensitivity, specificity: On those cases; on others they will differ.
    """

    threshold: float
    sensitivity: float
    specificity: float


def at_specificity(scores: ArrayLike, truth: ArrayLike, wanted: float = 0.95) -> OperatingPoint:
    """The most sensitive threshold whose specificity is at least the wanted one.

    Seed 001 (Table 3) takes "a specificity close to 95 %"; at least is the same or more careful. Some threshold always
    fits: above every score nothing is called.

    Raises:
        ValueError: One of the classes is missing, a share outside of 0 to 1, or as in `scored`.
    """
    cuts, sensitivity, specificity = _points(scores, truth, wanted)
    # Cuts rise, and with them the specificity: the first that fits is the most sensitive.
    return _point(cuts, sensitivity, specificity, int(np.argmax(specificity >= wanted)))


def at_sensitivity(scores: ArrayLike, truth: ArrayLike, wanted: float = 0.80) -> OperatingPoint:
    """The most specific threshold whose sensitivity is at least the wanted one (seed 001, Table 4: precision at 80 %).

    Raises:
        ValueError: One of the classes is missing, a share outside of 0 to 1, or as in `scored`.
    """
    cuts, sensitivity, specificity = _points(scores, truth, wanted)
    return _point(cuts, sensitivity, specificity, int(np.flatnonzero(sensitivity >= wanted)[-1]))


def at_balance(scores: ArrayLike, truth: ArrayLike) -> OperatingPoint:
    """The point at which sensitivity and specificity are closest; of several, that of the largest sum, then the lowest.

    Raises:
        ValueError: One of the classes is missing, or as in `scored`.
    """
    cuts, sensitivity, specificity = _points(scores, truth, 0.5)
    gap = np.abs(sensitivity - specificity)
    best = np.flatnonzero(gap == gap.min())
    return _point(cuts, sensitivity, specificity, int(best[np.argmax((sensitivity + specificity)[best])]))


def balanced_threshold(probabilities: Scores, truth: Flags) -> float:
    """The threshold of `at_balance`, midway between neighbouring scores.

    Raises:
        ValueError: One of the classes is missing, or as in `scored`.
    """
    return at_balance(probabilities, truth).threshold


def sensitivity_specificity(probabilities: Scores, truth: Flags, threshold: float) -> tuple[float, float]:
    """Shares of positives at or above the threshold and of negatives below it; NaN for a missing class."""
    truth = np.asarray(truth, dtype=bool)
    called = np.asarray(probabilities) >= threshold
    sensitivity = float(called[truth].mean()) if truth.any() else float("nan")
    specificity = float((~called[~truth]).mean()) if not truth.all() else float("nan")
    return sensitivity, specificity


def _point(cuts: Floats, sensitivity: Floats, specificity: Floats, index: int) -> OperatingPoint:
    return OperatingPoint(float(cuts[index]), float(sensitivity[index]), float(specificity[index]))


def _points(scores: ArrayLike, truth: ArrayLike, wanted: float) -> tuple[Floats, Floats, Floats]:
    """Every different way to cut, rising, with its sensitivity and specificity."""
    if not 0 <= wanted <= 1:
        raise ValueError(f"a sensitivity or specificity lies between 0 and 1, got {wanted}")
    values, labels = scored(scores, truth)
    positives, negatives = both_classes(labels, "an operating point")
    cuts = _cuts(np.unique(values))
    missed = np.searchsorted(np.sort(values[labels]), cuts, side="left")
    passed = np.searchsorted(np.sort(values[~labels]), cuts, side="left")
    return cuts, (positives - missed) / positives, passed / negatives


def _cuts(levels: Floats) -> Floats:
    """Midway between neighbouring scores, so that rounding elsewhere moves no case across; one below and one above."""
    middles = (levels[1:] + levels[:-1]) / 2
    # Between two neighbouring floats there is none: the middle rounds down to the lower one.
    middles = np.where(middles > levels[:-1], middles, levels[1:])
    below, above = (max(1e-6, 2 * float(np.spacing(abs(end)))) for end in (levels[0], levels[-1]))
    return np.concatenate(([levels[0] - below], middles, [levels[-1] + above]))
