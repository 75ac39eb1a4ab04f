"""What one run is worth where the findings exclude each other: how often its likeliest class is the true one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics import bootstrap
from bundles.common.metrics.cases import Case
from pretraining.experiments.statistics.figures import Figure

EVERY = "all classes"


def accuracies(
    cases: Sequence[Case], parts: Mapping[str, set[str]], *, replicates: int, seed: int = 0
) -> Iterator[Figure]:
    """Accuracy of the class with the highest score on every part (seed 004, Table 2); patients are drawn.

    Of such a figure `positives` counts the cases that were told right, `negatives` the others.

    Args:
        cases: Of one run, every finding on every case; of equal scores the first finding counts.
        parts: Of `strata`.
        replicates: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: Fewer than two findings, findings on other cases, or a case that has not exactly one of them.
    """
    right, names, patients = _told_right(cases)
    for stratum, inside in parts.items():
        chosen = np.isin(names, sorted(inside))
        yield _accuracy(right[chosen], patients[chosen], stratum, replicates, seed)


def _told_right(cases: Sequence[Case]) -> tuple[NDArray[np.bool_], NDArray[np.str_], NDArray[np.str_]]:
    """Of each case: whether it was told right, its name, whose it is."""
    findings = list(dict.fromkeys(case.finding for case in cases))
    by_finding = [sorted((c for c in cases if c.finding == name), key=lambda c: c.case) for name in findings]
    names = [[case.case for case in one] for one in by_finding]
    if len(findings) < 2 or any(one != names[0] for one in names):
        raise ValueError("classes that exclude each other are at least two, each asked of every case; evaluate again")
    truth = np.array([[case.truth for case in one] for one in by_finding])
    if (truth.sum(axis=0) != 1).any():
        raise ValueError("a case has none or several of the classes, which must exclude each other: see one-class")
    scores = np.array([[case.score for case in one] for one in by_finding])
    right: NDArray[np.bool_] = scores.argmax(axis=0) == truth.argmax(axis=0)
    return right, np.array(names[0]), np.array([case.patient for case in by_finding[0]])


def _accuracy(right: NDArray[np.bool_], patients: NDArray[np.str_], stratum: str, replicates: int, seed: int) -> Figure:
    counts = (int(right.sum()), int((~right).sum()), len(np.unique(patients)))
    if not len(right):
        return Figure(EVERY, stratum, "accuracy", math.nan, math.nan, math.nan, *counts)
    made = bootstrap(lambda drawn: float(right[drawn].mean()), len(right), patients, replicates, seed)
    return Figure(EVERY, stratum, "accuracy", made.value, made.low, made.high, *counts)
