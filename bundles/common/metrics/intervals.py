"""95 % intervals: patient-wise bootstrap of any statistic, paired differences, and Clopper-Pearson."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from bundles.common.metrics.inputs import Groups

REPLICATES = 500
Indices = NDArray[np.intp]
Statistic = Callable[[Indices], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval.

    Attributes:
        value: On all cases.
        low, high: Ends; NaN where the figure was undefined in every replicate.
        replicates: How many replicates the ends rest on: those in which the figure was defined. 0 where the interval
            does not come from resampling.
    """

    value: float
    low: float
    high: float
    replicates: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, measured on the same cases.

    Attributes:
        value: On all cases.
        low, high: 95 % percentile interval.
        p: Two-sided: twice the smaller share of replicates on one side of zero, one replicate counted as extreme, at
            most 1.
        replicates: In which both figures were defined.
    """

    value: float
    low: float
    high: float
    p: float
    replicates: int


def resamples(count: int, groups: Groups | None, replicates: int, seed: int) -> Iterator[Indices]:
    """Indices of the cases of every bootstrap replicate: as many whole groups as there are, drawn with replacement.

    Args:
        count: Cases.
        groups: (count,) whom each case belongs to, of any sortable type; None takes every case as a group of its own.
        replicates: Draws.
        seed: Of the draws.

    Raises:
        ValueError: Another number of groups than cases.
    """
    if groups is not None and len(groups) != count:
        raise ValueError(f"expected the patient of each of {count} cases, got {len(groups)}")
    members = _members(np.arange(count) if groups is None else np.asarray(groups))
    generator = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.concatenate([members[index] for index in generator.integers(0, len(members), len(members))])


def bootstrap(
    statistic: Statistic,
    count: int,
    groups: Groups | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """A figure with its 95 % percentile interval from resampling patients with replacement (seed 002: 500 replicates).

    Args:
        statistic: Takes indices of cases, with repeats, and gives the figure; NaN where it is undefined (one class
            missing). Such replicates are left out, and `Interval.replicates` tells how many remained.
        count: Cases, at least 1.
        groups: (count,) patient of each case; None takes every case as a patient.
        replicates: Draws; 0 gives the value alone.
        seed: Of the draws.

    Raises:
        ValueError: No case, or another number of groups.
    """
    return bootstrap_several(lambda indices: (statistic(indices),), count, groups, replicates, seed)[0]


def bootstrap_several(
    statistics: Callable[[Indices], Sequence[float]],
    count: int,
    groups: Groups | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """Several figures with their intervals from the same draws, each as `bootstrap` gives it.

    Args:
        statistics: Takes indices of cases and gives always the same figures, each NaN where it is undefined.
        count: As in `bootstrap`.
        groups: As in `bootstrap`.
        replicates: As in `bootstrap`.
        seed: As in `bootstrap`.

    Raises:
        ValueError: No case, or another number of groups.
    """
    if count < 1:
        raise ValueError("there is no case to measure on")
    values = [float(value) for value in statistics(np.arange(count))]
    drawn = [statistics(indices) for indices in resamples(count, groups, replicates, seed)]
    columns = np.array(drawn, dtype=np.float64).reshape(-1, len(values)).T
    return tuple(Interval(value, *percentiles(column)) for value, column in zip(values, columns, strict=True))


def bootstrap_difference(
    first: Statistic,
    second: Statistic,
    count: int,
    groups: Groups | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Difference:
    """Difference of two figures on the same cases; every replicate draws the same patients for both.

    Args:
        first: Statistic as in `bootstrap`.
        second: Statistic that is taken from it.
        count: As in `bootstrap`.
        groups: As in `bootstrap`.
        replicates: As in `bootstrap`.
        seed: As in `bootstrap`.

    Raises:
        ValueError: No case, or another number of groups.
    """
    if count < 1:
        raise ValueError("there is no case to compare on")
    drawn = np.array([first(chosen) - second(chosen) for chosen in resamples(count, groups, replicates, seed)])
    low, high, used = percentiles(drawn)
    every = np.arange(count)
    return Difference(float(first(every) - second(every)), low, high, _two_sided(drawn[~np.isnan(drawn)]), used)


def percentiles(drawn: ArrayLike) -> tuple[float, float, int]:
    """2.5 and 97.5 % percentiles of the replicates that are not NaN, and their number; NaN where none is left."""
    values = np.asarray(drawn, dtype=np.float64)
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan"), 0
    low, high = np.percentile(defined, (2.5, 97.5))
    return float(low), float(high), len(defined)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """A share with its exact binomial interval (Clopper and Pearson 1934); for independent cases, one a patient.

    Args:
        successes: Of the trials.
        trials: 0 gives NaN with the interval 0 to 1: nothing is known.
        level: Of confidence.

    Raises:
        ValueError: Fewer successes than 0 or more than trials, or a level outside of 0 to 1.
    """
    if not 0 <= successes <= trials or not 0 < level < 1:
        raise ValueError(f"expected 0 to {trials} successes and a level between 0 and 1, got {successes} and {level}")
    if trials == 0:
        return Interval(float("nan"), 0.0, 1.0)
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    high = float(beta.ppf(1 - tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return Interval(successes / trials, low, high)


def _two_sided(drawn: NDArray[np.float64]) -> float:
    if not len(drawn):
        return float("nan")
    smaller = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(drawn) + 1))


def _members(groups: Groups) -> list[Indices]:
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    return np.split(order, starts[1:])
