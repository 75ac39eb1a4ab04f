"""Area under the ROC curve with a bootstrap interval, and operating points. NumPy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Scores = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Auc:
    """One measured area.

    Attributes:
        value: The area; NaN where one of the classes is missing.
        low, high: 95 % percentile bootstrap interval over cases.
        positives, negatives: Number of labels of each class.
    """

    value: float
    low: float
    high: float
    positives: int
    negatives: int


def area_under_roc(scores: Scores, truth: Flags) -> float:
    """Probability that a positive scores higher than a negative, ties counting half; NaN without both classes.

    Args:
        scores: (n,), higher is more suspicious.
        truth: (n,).
    """
    truth = np.asarray(truth, dtype=bool)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def bootstrap_auc(
    scores: Scores,
    truth: Flags,
    groups: NDArray[np.intp] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Auc:
    """Area with its 95 % interval from resampling cases with replacement.

    Args:
        scores: (n,), higher is more suspicious.
        truth: (n,).
        groups: (n,) case of every label, where a case has several (its slices); whole cases are drawn. None takes every
            label as a case of its own.
        replicates: Draws; those without both classes are left out.
        seed: Of the draws.
    """
    truth = np.asarray(truth, dtype=bool)
    members = _members(np.arange(len(truth)) if groups is None else groups)
    generator = np.random.default_rng(seed)
    areas = []
    for _ in range(replicates):
        drawn = np.concatenate([members[index] for index in generator.integers(0, len(members), len(members))])
        areas.append(area_under_roc(scores[drawn], truth[drawn]))
    known = np.array(areas)[~np.isnan(areas)]
    low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (float("nan"), float("nan"))
    positives = int(truth.sum())
    return Auc(area_under_roc(scores, truth), float(low), float(high), positives, len(truth) - positives)


def balanced_threshold(probabilities: Scores, truth: Flags) -> float:
    """The operating point at which sensitivity and specificity are closest, midway between neighbouring scores.

    Raises:
        ValueError: One of the classes is missing.
    """
    truth = np.asarray(truth, dtype=bool)
    if truth.all() or not truth.any():
        raise ValueError("an operating point needs cases with and without the finding")
    levels = np.unique(probabilities)
    cuts = np.concatenate(([levels[0] - 1e-6], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1e-6]))
    sensitivity = np.array([(probabilities[truth] >= cut).mean() for cut in cuts])
    specificity = np.array([(probabilities[~truth] < cut).mean() for cut in cuts])
    gap = np.abs(sensitivity - specificity)
    best = np.flatnonzero(gap == gap.min())
    return float(cuts[best[np.argmax((sensitivity + specificity)[best])]])


def sensitivity_specificity(probabilities: Scores, truth: Flags, threshold: float) -> tuple[float, float]:
    """Shares of positives at or above the threshold and of negatives below it; NaN for a missing class."""
    truth = np.asarray(truth, dtype=bool)
    called = np.asarray(probabilities) >= threshold
    sensitivity = float(called[truth].mean()) if truth.any() else float("nan")
    specificity = float((~called[~truth]).mean()) if not truth.all() else float("nan")
    return sensitivity, specificity


def _members(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    return np.split(order, starts[1:])
