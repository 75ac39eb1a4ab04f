"""Two starts of training on the same test cases, each with one run for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics import (
    Difference,
    PairedT,
    area_under_roc,
    bootstrap_difference,
    delong,
    mcnemar_exact,
    paired_t,
    stuart_maxwell,
)
from bundles.common.metrics.cases import Case

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Scores of both starts on the same cases in one order.

    Attributes:
        truth: (cases,) bool.
        patients: (cases,) hashes.
        first, second: (runs, cases); a run of one seed in either has the same place.
    """

    truth: NDArray[np.bool_]
    patients: NDArray[np.str_]
    first: Floats
    second: Floats


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test of first against second.

    Attributes:
        test: `bootstrap`, `delong`, `mcnemar`, `stuart_maxwell` or `paired_t`.
        value: First minus second; NaN where the test has no difference.
        low, high: 95 % interval, NaN where the test has none.
        p: Two-sided.
        statistic: Of the test; NaN for the bootstrap.
        runs: Pairs of runs that went in.
    """

    test: str
    value: float
    low: float
    high: float
    p: float
    statistic: float
    runs: int


def align(first: Sequence[Sequence[Case]], second: Sequence[Sequence[Case]]) -> Aligned:
    """Bring runs of one finding into one order.

    Args:
        first: The cases of each run.
        second: The same of the other start, as many runs.

    Raises:
        ValueError: Another number of runs, none, or runs on different cases, patients or truths.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"expected as many runs of both starts, at least one, got {len(first)} and {len(second)}")
    ordered = [sorted(run, key=lambda case: case.case) for run in (*first, *second)]
    names = [(case.case, case.patient, case.truth) for case in ordered[0]]
    for run in ordered[1:]:
        if [(case.case, case.patient, case.truth) for case in run] != names:
            raise ValueError("the runs were measured on different cases; only the same test cases can be compared")
    scores = np.array([[case.score for case in run] for run in ordered], dtype=np.float64)
    truth = np.array([truth for _, _, truth in names], dtype=bool)
    patients = np.array([patient for _, patient, _ in names])
    return Aligned(truth, patients, scores[: len(first)], scores[len(first) :])


def area_difference(aligned: Aligned, replicates: int, seed: int = 0) -> Difference:
    """Mean over the runs of the area under the ROC curve, first minus second, by resampling patients."""

    def mean_area(scores: Floats, drawn: NDArray[np.intp]) -> float:
        return float(np.mean([area_under_roc(run[drawn], aligned.truth[drawn]) for run in scores]))

    return bootstrap_difference(
        lambda drawn: mean_area(aligned.first, drawn),
        lambda drawn: mean_area(aligned.second, drawn),
        len(aligned.truth),
        aligned.patients,
        replicates=replicates,
        seed=seed,
    )


def most_suspicious(scores: Floats, count: int) -> NDArray[np.bool_]:
    """(cases,) the so many highest scores; of equal ones at the border those that come first.

    A threshold chosen so needs to know how common the finding is, and no case's truth.
    """
    called = np.zeros(len(scores), dtype=bool)
    called[np.argsort(-scores, kind="stable")[:count]] = True
    return called


def over_runs(aligned: Aligned) -> PairedT:
    """Paired t-test of the areas under the ROC curve over the runs; with too few runs `paired_t` refuses."""
    areas = [[area_under_roc(run, aligned.truth) for run in arm] for arm in (aligned.first, aligned.second)]
    return paired_t(*areas)


def compare(aligned: Aligned, *, replicates: int, seed: int = 0) -> tuple[Comparison, ...]:
    """Every test that the cases allow: bootstrap over patients, DeLong, McNemar, and paired t with two runs or more.

    DeLong and McNemar take the mean score of the runs, and cases as independent. Empty without both classes.
    """
    positives = int(aligned.truth.sum())
    runs = len(aligned.first)
    if not 0 < positives < len(aligned.truth):
        return ()
    drawn = area_difference(aligned, replicates, seed)
    tests = [Comparison("bootstrap", drawn.value, drawn.low, drawn.high, drawn.p, np.nan, runs)]
    means = aligned.first.mean(axis=0), aligned.second.mean(axis=0)
    if min(positives, len(aligned.truth) - positives) > 1:
        areas = delong(*means, aligned.truth)
        tests.append(Comparison("delong", areas.difference, areas.low, areas.high, areas.p, areas.z, runs))
    right = [most_suspicious(mean, positives) == aligned.truth for mean in means]
    table = mcnemar_exact(*right)
    gained = float(right[0].mean() - right[1].mean())
    tests.append(Comparison("mcnemar", gained, np.nan, np.nan, table.p, table.statistic, runs))
    if runs > 1:
        t = over_runs(aligned)
        tests.append(Comparison("paired_t", t.difference, t.low, t.high, t.p, t.t, runs))
    return tuple(tests)


def compare_classes(first: Sequence[Sequence[Case]], second: Sequence[Sequence[Case]]) -> Comparison:
    """Stuart-Maxwell on the class with the highest mean score, for findings that exclude each other (seed 004).

    Args:
        first: The cases of each run, of all findings.
        second: The same of the other start.

    Raises:
        ValueError: Fewer than two findings, or runs on different cases.
    """
    calls = []
    names = list(dict.fromkeys(case.finding for case in first[0]))
    if len(names) < 2:
        raise ValueError("classes that exclude each other are at least two")
    for arm in (first, second):
        per_class = [align(*(([[c for c in run if c.finding == name] for run in arm],) * 2)) for name in names]
        calls.append(np.argmax([one.first.mean(axis=0) for one in per_class], axis=0))
    if len(calls[0]) != len(calls[1]):
        raise ValueError("the runs were measured on different cases; only the same test cases can be compared")
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (calls[0], calls[1]), 1)
    result = stuart_maxwell(table)
    return Comparison("stuart_maxwell", np.nan, np.nan, np.nan, result.p, result.statistic, len(first))
