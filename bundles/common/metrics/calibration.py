"""Do probabilities mean what they say? Reliability curve, expected calibration error, temperature and Platt scaling."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp

from bundles.common.metrics.inputs import Flags, both_classes, scored
from bundles.common.metrics.intervals import Interval, clopper_pearson

Floats = NDArray[np.float64]
HOTTEST = 100.0


class Platt(NamedTuple):
    """Scaling of logits: probability = sigmoid(logit · factor + offset)."""

    factor: float
    offset: float

    def apply(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities of the same shape."""
        return sigmoid(np.asarray(logits, dtype=np.float64) * self.factor + self.offset)


class Temperature(NamedTuple):
    """Scaling of logits by one divisor: probability = sigmoid(logit / value). It moves no case across 0.5."""

    value: float

    def apply(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities of the same shape."""
        return sigmoid(np.asarray(logits, dtype=np.float64) / self.value)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases of about equal probability; bins without cases are left out.

    Attributes:
        low, high: Edges; the lower one belongs to the bin, the upper one only in the last.
        predicted: Mean probability of its cases.
        observed: Share of its cases that have the finding, with the exact 95 % interval.
        cases: Their number.
    """

    low: float
    high: float
    predicted: float
    observed: Interval
    cases: int


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e^−x), without a warning for very negative values."""
    with np.errstate(over="ignore"):
        probabilities: Floats = 1 / (1 + np.exp(-logits))
    return probabilities


def reliability_curve(probabilities: ArrayLike, truth: ArrayLike, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Observed share against predicted probability in bins of equal width.

    Args:
        probabilities: (n,), 0 to 1.
        truth: (n,).
        bins: Number of bins, at least 1.

    Raises:
        ValueError: No case, a value outside of 0 to 1, fewer than one bin, or as in `scored`.
    """
    values, labels = _probabilities(probabilities, truth)
    if bins < 1:
        raise ValueError(f"a reliability curve needs at least one bin, got {bins}")
    edges = np.linspace(0, 1, bins + 1)
    place = np.minimum(np.searchsorted(edges, values, side="right") - 1, bins - 1)
    curve = []
    for index in range(bins):
        inside = place == index
        if not inside.any():
            continue
        count, positives = int(inside.sum()), int(labels[inside].sum())
        share = clopper_pearson(positives, count)
        mean = float(values[inside].mean())
        curve.append(ReliabilityBin(float(edges[index]), float(edges[index + 1]), mean, share, count))
    return tuple(curve)


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = 10) -> float:
    """Mean distance of observed share and predicted probability over bins of equal width, weighted by cases.

    Its value depends on the bins, and few cases make it too large: compare only what was measured alike.

    Raises:
        ValueError: As in `reliability_curve`.
    """
    curve = reliability_curve(probabilities, truth, bins)
    total = sum(one.cases for one in curve)
    return float(sum(one.cases * abs(one.observed.value - one.predicted) for one in curve) / total)


def fit_platt(logits: Floats, truth: Flags) -> Platt:
    """Factor and offset that turn logits into calibrated ones (Platt 1999, with his smoothed targets).

    The smoothed targets keep the factor finite where validation cases are separated perfectly. The factor is positive:
    the order of cases never changes.

    Args:
        logits: (n,).
        truth: (n,).

    Raises:
        ValueError: One of the classes is missing, or as in `scored`.
    """
    values, labels = scored(logits, truth)
    positives, negatives = both_classes(labels, "calibration")
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: Floats) -> float:
        scaled = values * np.exp(parameters[0]) + parameters[1]
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7, "maxiter": 2000})
    return Platt(float(np.exp(best.x[0])), float(best.x[1]))


def fit_temperature(logits: ArrayLike, truth: ArrayLike) -> Temperature:
    """The divisor of logits that makes the labels most likely (Guo et al. 2017).

    It lies between 1/100 and 100: separated classes want 0, scores without information want infinity.

    Args:
        logits: (n,); 0 must mean undecided, because a temperature cannot shift.
        truth: (n,).

    Raises:
        ValueError: One of the classes is missing, or as in `scored`.
    """
    values, labels = scored(logits, truth)
    both_classes(labels, "calibration")

    def loss(logarithm: float) -> float:
        scaled = values * np.exp(-logarithm)
        return float(np.mean(np.logaddexp(0, scaled) - labels * scaled))

    end = float(np.log(HOTTEST))
    best = minimize_scalar(loss, bounds=(-end, end), method="bounded", options={"xatol": 1e-8})
    return Temperature(float(np.exp(best.x)))


def fit_softmax_temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """The divisor of the logits of one class of several that makes the labels most likely (Guo et al. 2017).

    It lies between 1/100 and 100, as that of `fit_temperature`.

    Args:
        logits: (n, classes), finite.
        truth: (n,) class of each case, from 0.

    Raises:
        ValueError: No case, tables of other shapes, logits that are not finite, or all cases of one class.
    """
    values, classes = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    if values.ndim != 2 or classes.shape != values.shape[:1] or not len(classes):
        raise ValueError(f"expected logits (n, classes) and a class for each, got {values.shape} and {classes.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a logit is not finite: nothing can be calibrated on it")
    if len(np.unique(classes)) < 2:
        raise ValueError("all cases are of one class: calibration needs several")
    own = values[np.arange(len(classes)), classes.astype(np.intp)]

    def loss(logarithm: float) -> float:
        factor = np.exp(-logarithm)
        return float(np.mean(logsumexp(values * factor, axis=1) - own * factor))

    end = float(np.log(HOTTEST))
    best = minimize_scalar(loss, bounds=(-end, end), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(best.x))


def _probabilities(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Floats, Flags]:
    values, labels = scored(probabilities, truth)
    if not len(values):
        raise ValueError("there is no case to measure the calibration on")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"probabilities lie between 0 and 1, got {values.min():.4g} to {values.max():.4g}: are they logits?"
        )
    return values, labels
