"""The points at which sensitivity and specificity for hemorrhage are told, and an evaluation's sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics import balanced_threshold, bootstrap, known, sensitivity_specificity
from bundles.common.metrics.lesion_words import lesion_notes

SERVED = (
    "Outlines are those that the service shows: none where hemorrhage is below its threshold, and such a head with "
    "bleeds counts with a Dice of 0."
)
POINTS = {
    "operating_point": "At the service's threshold",
    "balanced_point": "Where sensitivity and specificity are as equal as these very cases allow",
}
Array = NDArray[np.float64]
Point = dict[str, float | dict[str, float | None]]


def operating_points(probabilities: Array, truth: Array, service: float | None, *, replicates: int) -> dict[str, Point]:
    """Sensitivity and specificity for hemorrhage at the service's threshold, and where both are equal on these cases.

    Args:
        probabilities: (cases,).
        truth: (cases,) 0 or 1, NaN where unknown.
        service: Threshold of the service; None where these weights have none.
        replicates: Of the bootstrap over cases.
    """
    labelled = known(truth)
    scores, flags = probabilities[labelled], truth[labelled] >= 0.5
    thresholds = {} if service is None else {"operating_point": service}
    if flags.any() and not flags.all():
        thresholds["balanced_point"] = balanced_threshold(scores, flags)
    return {name: _point(scores, flags, threshold, replicates) for name, threshold in thresholds.items()}


def _point(scores: Array, flags: NDArray[np.bool_], threshold: float, replicates: int) -> Point:
    point: Point = {"threshold": round(threshold, 4)}
    for index, name in enumerate(("sensitivity", "specificity")):

        def share(cases: NDArray[np.intp], which: int = index) -> float:
            return sensitivity_specificity(scores[cases], flags[cases], threshold)[which]

        found = bootstrap(share, len(flags), replicates=replicates)
        point[name] = rounded({"value": found.value, "low": found.low, "high": found.high})
    return point


def notes_of(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What a report says beside the areas, in sentences."""
    notes = []
    for name, words in POINTS.items():
        if point := report.get(name):
            sensitivity, specificity = (_share(point[key]) for key in ("sensitivity", "specificity"))
            notes.append(f"{words}, {point['threshold']:.3f}: sensitivity {sensitivity}, specificity {specificity}.")
    if "lesions" in report:
        notes += [*lesion_notes(report["lesions"], "bleeds"), SERVED]
    return tuple(notes)


def _share(figure: Mapping[str, Any]) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if value is None:
        return "not defined, as no case is of that kind"
    return f"{100 * value:.0f} %" + (f" ({100 * low:.0f} to {100 * high:.0f})" if low is not None else "")


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers to four digits, None where they are not defined; everything else as it is."""
    return {
        name: (None if np.isnan(value) else round(value, 4)) if isinstance(value, float) else value
        for name, value in values.items()
    }
