"""What one run is worth: area under the ROC curve and average precision with 95 % intervals, overall and apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics import area_under_roc, average_precision, bootstrap_several
from bundles.common.metrics.cases import Case, image_of

ALL = "all"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one finding on a part of the test cases.

    Attributes:
        finding, stratum, metric: Which; the metric is `auroc` or `average_precision`.
        value, low, high: With its 95 % interval over patients; NaN where a class is missing.
        positives, negatives, patients: In that part.
    """

    finding: str
    stratum: str
    metric: str
    value: float
    low: float
    high: float
    positives: int
    negatives: int
    patients: int


def strata(
    cases: Sequence[Case], metadata: Mapping[str, Mapping[str, Any]], within: Sequence[str]
) -> dict[str, set[str]]:
    """Cases of each part: all, and those of each value of each key, as "view = PA".

    Args:
        cases: Of one finding or several; a slice is where its volume is.
        metadata: `case_id` to what its datalist says.
        within: Keys.

    Raises:
        ValueError: A case that the datalist does not have, or a key that none has.
    """
    names = sorted({case.case for case in cases})
    of = {name: image_of(name) for name in names}
    lost = [name for name in names if of[name] not in metadata]
    if lost:
        raise ValueError(f"{len(lost)} cases are not in the datalist (the first: {lost[0]}); evaluate again")
    parts = {ALL: set(names)}
    for key in within:
        if not any(key in metadata[of[name]] for name in names):
            raise ValueError(f"no image of the datalist has '{key}' to measure within")
        for name in names:
            if (value := metadata[of[name]].get(key)) not in {None, ""}:
                parts.setdefault(f"{key} = {value}", set()).add(name)
    return dict(sorted(parts.items(), key=lambda part: (part[0] != ALL, part[0])))


def figures(
    cases: Sequence[Case], parts: Mapping[str, set[str]], *, replicates: int, seed: int = 0
) -> tuple[Figure, ...]:
    """Both metrics of every finding on every part; patients are drawn, not images."""
    return tuple(
        figure
        for finding in dict.fromkeys(case.finding for case in cases)
        for stratum, inside in parts.items()
        for figure in _measured(
            [case for case in cases if case.finding == finding and case.case in inside],
            (finding, stratum),
            replicates,
            seed,
        )
    )


def _measured(cases: Sequence[Case], names: tuple[str, str], replicates: int, seed: int) -> Iterator[Figure]:
    truth = np.array([case.truth for case in cases], dtype=bool)
    scores = np.array([case.score for case in cases], dtype=np.float64)
    patients = np.array([case.patient for case in cases])
    counts = (int(truth.sum()), int((~truth).sum()), len(np.unique(patients)))
    if min(counts) == 0:
        for metric in ("auroc", "average_precision"):
            yield Figure(*names, metric, math.nan, math.nan, math.nan, *counts)
        return

    def both(drawn: NDArray[np.intp]) -> tuple[float, float]:
        inside = truth[drawn]
        precision = average_precision(scores[drawn], inside) if inside.any() else math.nan
        return area_under_roc(scores[drawn], inside), precision

    made = bootstrap_several(both, len(cases), patients, replicates, seed)
    for metric, one in zip(("auroc", "average_precision"), made, strict=True):
        yield Figure(*names, metric, one.value, one.low, one.high, *counts)
