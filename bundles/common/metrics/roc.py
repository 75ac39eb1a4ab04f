"""ROC and precision-recall curves, the areas under them, and the ROC area with a bootstrap interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bundles.common.metrics.inputs import Flags, Groups, Scores, both_classes, scored
from bundles.common.metrics.intervals import REPLICATES, percentiles, resamples

Floats = NDArray[np.float64]
GRID = 201


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


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Every attainable pair of rates, from none called positive to all.

    Attributes:
        false_positive_rate, sensitivity: (points,), rising; the first point is (0, 0).
        thresholds: (points,), falling; a case is called at or above. The first is infinite.
    """

    false_positive_rate: Floats
    sensitivity: Floats
    thresholds: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall at every distinct score, from the highest to the lowest.

    Attributes:
        recall: (points,), rising.
        precision: (points,).
        thresholds: (points,), falling; a case is called at or above.
    """

    recall: Floats
    precision: Floats
    thresholds: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RocBand:
    """Pointwise 95 % interval of the sensitivity along the false positive rate.

    Attributes:
        false_positive_rate: (points,), 0 to 1 in equal steps.
        low, high: (points,) sensitivity.
    """

    false_positive_rate: Floats
    low: Floats
    high: Floats


def area_under_roc(scores: Scores, truth: Flags) -> float:
    """Probability that a positive scores higher than a negative, ties counting half.

    NaN without both classes, and where a score is NaN: a diverged training goes on to say so.

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
    groups: Groups | None = None,
    replicates: int = REPLICATES,
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
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return Auc(float("nan"), float("nan"), float("nan"), positives, negatives)
    areas = [area_under_roc(scores[drawn], truth[drawn]) for drawn in resamples(len(truth), groups, replicates, seed)]
    low, high, _ = percentiles(areas)
    return Auc(area_under_roc(scores, truth), low, high, positives, negatives)


def average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """Σ (recallₙ − recallₙ₋₁) · precisionₙ over distinct scores, without interpolation; NaN without a positive.

    Equal scores make one step, so that the order of cases does not matter.

    Raises:
        ValueError: As in `scored`.
    """
    values, labels = scored(scores, truth)
    if not labels.any():
        return float("nan")
    curve = precision_recall_curve(values, labels)
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def roc_curve(scores: ArrayLike, truth: ArrayLike) -> RocCurve:
    """The ROC curve with a point for every distinct score.

    Raises:
        ValueError: One of the classes is missing, or as in `scored`.
    """
    values, labels = scored(scores, truth)
    positives, negatives = both_classes(labels, "a ROC curve")
    thresholds, true, false = _cumulated(values, labels)
    return RocCurve(
        false_positive_rate=np.concatenate(([0.0], false / negatives)),
        sensitivity=np.concatenate(([0.0], true / positives)),
        thresholds=np.concatenate(([np.inf], thresholds)),
    )


def precision_recall_curve(scores: ArrayLike, truth: ArrayLike) -> PrecisionRecallCurve:
    """The precision-recall curve with a point for every distinct score.

    Raises:
        ValueError: There is no positive, or as in `scored`.
    """
    values, labels = scored(scores, truth)
    if not labels.any():
        raise ValueError(f"a precision-recall curve needs a case with the finding, got none in {len(labels)}")
    thresholds, true, false = _cumulated(values, labels)
    return PrecisionRecallCurve(true / labels.sum(), true / (true + false), thresholds)


def roc_band(
    scores: ArrayLike, truth: ArrayLike, groups: Groups | None = None, replicates: int = REPLICATES, seed: int = 0
) -> RocBand:
    """Pointwise 95 % bootstrap interval of the ROC curve, for drawing.

    At every false positive rate the sensitivity of a replicate is that of the straight lines between its points, whose
    area is the AUROC.

    Raises:
        ValueError: One of the classes is missing, or as in `scored`.
    """
    values, labels = scored(scores, truth)
    both_classes(labels, "a ROC curve")
    grid = np.linspace(0, 1, GRID)
    curves = []
    for drawn in resamples(len(labels), groups, replicates, seed):
        if labels[drawn].all() or not labels[drawn].any():
            continue
        curve = roc_curve(values[drawn], labels[drawn])
        curves.append(np.interp(grid, curve.false_positive_rate, curve.sensitivity))
    low, high = np.percentile(curves, (2.5, 97.5), axis=0) if curves else np.full((2, GRID), np.nan)
    return RocBand(grid, low, high)


def _cumulated(values: Floats, labels: Flags) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, falling, and how many positives and negatives lie at or above each."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    last = np.flatnonzero(np.diff(ordered, append=-np.inf) != 0)
    true = np.cumsum(labels[order])[last].astype(np.float64)
    return ordered[last], true, last + 1.0 - true
