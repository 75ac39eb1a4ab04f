"""Two models on the same cases: DeLong, McNemar, Stuart-Maxwell, paired t. Every p-value is two-sided.

All but the paired t-test of fold or run results take cases as independent. Where patients have several images, take
`bootstrap_difference` with the patients as groups.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, chi2, norm, rankdata, ttest_rel
from scipy.stats import t as student_t

from bundles.common.metrics.inputs import Flags, both_classes, scored

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DeLong:
    """Two correlated areas under the ROC curve.

    Attributes:
        first, second: Areas.
        difference: First minus second.
        low, high: 95 % normal interval of the difference.
        z: Difference by its standard error; infinite where that is 0 and the difference is not.
        p: Two-sided.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    z: float
    p: float


@dataclass(frozen=True, slots=True)
class TableTest:
    """A test on paired calls.

    Attributes:
        statistic: χ², or the smaller number of discordant pairs in the exact McNemar test.
        degrees_of_freedom: Of χ²; 0 where nothing differs or the test is exact.
        p: Two-sided; 1 where nothing differs.
    """

    statistic: float
    degrees_of_freedom: int
    p: float


@dataclass(frozen=True, slots=True)
class PairedT:
    """Paired t-test.

    Attributes:
        difference: Mean of first minus second.
        low, high: 95 % interval of that mean.
        t: Statistic; infinite where every pair differs by the same amount.
        p: Two-sided.
    """

    difference: float
    low: float
    high: float
    t: float
    p: float


def delong(first: ArrayLike, second: ArrayLike, truth: ArrayLike) -> DeLong:
    """Compare two areas under the ROC curve by their covariance (DeLong et al. 1988).

    Midranks give the structural components in O(n log n) (Sun and Xu 2014), ties counted half.

    Args:
        first: (n,) scores of one model.
        second: (n,) scores of the other on the same cases; their scales need not agree.
        truth: (n,).

    Raises:
        ValueError: Fewer than two cases of a class, from which no variance comes, or as in `scored`.
    """
    values, labels = scored(first, truth)
    others, _ = scored(second, truth)
    positives, negatives = both_classes(labels, "DeLong's test")
    if min(positives, negatives) < 2:
        raise ValueError(f"DeLong's test needs two cases of each class, got {positives} with, {negatives} without")
    each = [structural_components(scores, labels) for scores in (values, others)]
    one, other = (float(components[0].mean()) for components in each)
    covariance = np.cov([c[0] for c in each]) / positives + np.cov([c[1] for c in each]) / negatives
    difference = one - other
    error = math.sqrt(max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
    # Equal rankings leave rounding errors of 1e-17: that is no difference.
    if error < 1e-12:
        error = 0.0
        difference = 0.0 if abs(difference) < 1e-12 else difference
    z = difference / error if error else math.copysign(math.inf, difference) if difference else 0.0
    half = float(norm.ppf(0.975)) * error
    return DeLong(one, other, difference, difference - half, difference + half, z, float(2 * norm.sf(abs(z))))


def structural_components(scores: Floats, labels: Flags) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, for each negative the share of positives above it.

    Returns:
        (positives,) and (negatives,), ties counted half; the mean of either is the area.
    """
    with_it, without = scores[labels], scores[~labels]
    joint = rankdata(np.concatenate((with_it, without)))
    positives, negatives = len(with_it), len(without)
    above = (joint[:positives] - rankdata(with_it)) / negatives
    below = 1 - (joint[positives:] - rankdata(without)) / positives
    return above, below


def mcnemar_exact(first: ArrayLike, second: ArrayLike) -> TableTest:
    """McNemar's test by the binomial distribution of the pairs in which just one model is right.

    Args:
        first: (n,) bool, whether the first model was right (or called) on each case.
        second: (n,) bool, the same of the second.

    Raises:
        ValueError: Lists of different length.
    """
    only_first, only_second = _discordant(first, second)
    pairs = only_first + only_second
    p = float(binomtest(only_first, pairs, 0.5).pvalue) if pairs else 1.0
    return TableTest(float(min(only_first, only_second)), 0, p)


def mcnemar_corrected(first: ArrayLike, second: ArrayLike) -> TableTest:
    """McNemar's χ² with continuity correction, (|b − c| − 1)² / (b + c); take the exact test below 25 discordant pairs.

    Args:
        first: (n,) bool, whether the first model was right (or called) on each case.
        second: (n,) bool, the same of the second.

    Raises:
        ValueError: Lists of different length.
    """
    only_first, only_second = _discordant(first, second)
    pairs = only_first + only_second
    if not pairs:
        return TableTest(0.0, 0, 1.0)
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / pairs
    return TableTest(statistic, 1, float(chi2.sf(statistic, 1)))


def stuart_maxwell(table: ArrayLike) -> TableTest:
    """Do two models use the classes equally often (Stuart 1955, Maxwell 1970)?

    Seed 004 compares models so (Table 2). With two classes it is McNemar's test without correction. The degrees of
    freedom are the rank of the covariance: one less than the classes, and fewer where classes are unused or never
    confused with others.

    Args:
        table: (classes, classes) counts on the same cases; rows are the first model's classes, columns the second's.

    Raises:
        ValueError: Not a square table of at least two classes with whole counts of 0 or more.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or len(counts) < 2:
        raise ValueError(f"expected a square table of at least two classes, got shape {counts.shape}")
    if not (np.isfinite(counts) & (counts >= 0) & (counts == np.rint(counts))).all():
        raise ValueError("a table of cases holds whole numbers of 0 or more")
    margins = counts.sum(axis=1) - counts.sum(axis=0)
    covariance = np.diag(counts.sum(axis=1) + counts.sum(axis=0)) - counts - counts.T
    freedom = int(np.linalg.matrix_rank(covariance))
    if freedom == 0:
        return TableTest(0.0, 0, 1.0)
    statistic = float(margins @ np.linalg.pinv(covariance, hermitian=True) @ margins)
    return TableTest(statistic, freedom, float(chi2.sf(statistic, freedom)))


def paired_t(first: ArrayLike, second: ArrayLike) -> PairedT:
    """Student's paired t-test, for the same figure over repeated runs or samples of the data (seed 004, Table 3).

    Args:
        first: (n,) figures of one model.
        second: (n,) figures of the other on the same runs.

    Raises:
        ValueError: Lists of different length, fewer than two pairs, or a value that is not finite.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape or len(one) < 2:
        raise ValueError(f"expected at least two pairs, got shapes {one.shape} and {other.shape}")
    differences = one - other
    if not np.isfinite(differences).all():
        raise ValueError("a paired t-test needs finite values; leave out runs that failed, in both lists")
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(len(one)))
    if np.ptp(differences) == 0:
        return PairedT(mean, mean, mean, math.copysign(math.inf, mean) if mean else 0.0, 0.0 if mean else 1.0)
    half = float(student_t.ppf(0.975, len(one) - 1)) * error
    result = ttest_rel(one, other)
    return PairedT(mean, mean - half, mean + half, float(result.statistic), float(result.pvalue))


def _discordant(first: ArrayLike, second: ArrayLike) -> tuple[int, int]:
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"expected one flag a case and model, got shapes {one.shape} and {other.shape}")
    return int((one & ~other).sum()), int((~one & other).sum())
