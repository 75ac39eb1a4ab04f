"""What an evaluation found, as values, and the JSON file that keeps it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundles.common.metrics.calibration import ReliabilityBin, expected_calibration_error, reliability_curve
from bundles.common.metrics.classification import Calls, calls
from bundles.common.metrics.froc import MIN_IOU, RATES, measure_froc
from bundles.common.metrics.inputs import Flags, Groups, scored
from bundles.common.metrics.intervals import REPLICATES, Interval, bootstrap, clopper_pearson
from bundles.common.metrics.matching import ImageBoxes
from bundles.common.metrics.mean_average_precision import mean_average_precision
from bundles.common.metrics.operating import at_balance, at_sensitivity, at_specificity
from bundles.common.metrics.roc import area_under_roc, average_precision

FORMAT = "evaluation 1"
DIGITS = 6
FIGURES = ("accuracy", "sensitivity", "specificity", "precision", "f1")


@dataclass(frozen=True, slots=True)
class PointReport:
    """An operating point with its figures.

    Attributes:
        threshold: Cases at or above are called.
        chosen_on: "these cases" where the threshold was chosen on the very cases that it is measured on, which flatters
            it; otherwise in words, such as "validation".
        counts: Calls against the truth.
        figures: accuracy, sensitivity, specificity, precision and f1 with bootstrap intervals over patients, the
            threshold held.
        exact: Clopper-Pearson intervals of sensitivity and specificity, which take cases as independent.
    """

    threshold: float
    chosen_on: str
    counts: Calls
    figures: dict[str, Interval]
    exact: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """Probabilities of one finding.

    Attributes:
        cases, patients, positives, negatives: Counts.
        auroc, average_precision: With bootstrap intervals over patients.
        points: Operating points by name.
        calibration_error: Expected calibration error in ten bins.
        reliability: Those bins.
    """

    cases: int
    patients: int
    positives: int
    negatives: int
    auroc: Interval
    average_precision: Interval
    points: dict[str, PointReport]
    calibration_error: float
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class DetectionReport:
    """Boxes of one class.

    Attributes:
        images, patients, findings: Counts.
        min_iou: Least intersection over union of a hit.
        froc_average: Mean sensitivity at the rates, with its bootstrap interval over patients.
        rates: False positives per image.
        sensitivity_at_rates: Of the findings.
        average_precision: Area under precision and recall of the boxes, with its interval, at `min_iou`.
    """

    images: int
    patients: int
    findings: int
    min_iou: float
    froc_average: Interval
    rates: tuple[float, ...]
    sensitivity_at_rates: tuple[float, ...]
    average_precision: Interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of one bundle.

    Attributes:
        bundle: Name and version.
        weights_sha256: Of the weights that were measured.
        data: The test cases by name; starts with "phantom" where no patient was involved.
        created: Date, ISO 8601.
        replicates: Of the bootstrap.
        classification: By finding.
        detection: By finding.
        notes: What a reader must know, a sentence each.
        extra: Anything else that JSON can keep, by name: comparisons, robustness, convergence.
    """

    bundle: str
    weights_sha256: str
    data: str
    created: str
    replicates: int
    classification: dict[str, ClassificationReport] = field(default_factory=dict)
    detection: dict[str, DetectionReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def report_classification(
    probabilities: ArrayLike,
    truth: ArrayLike,
    patients: Groups | None = None,
    *,
    thresholds: Mapping[str, float] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ClassificationReport:
    """Everything the papers report about the probabilities of one finding.

    Args:
        probabilities: (n,), 0 to 1.
        truth: (n,) of known label.
        patients: (n,); None takes every case as a patient.
        thresholds: Operating points that were chosen elsewhere, by name; they are reported beside the three that are
            chosen
            here: specificity 95 %, sensitivity 80 %, sensitivity = specificity.
        replicates: Of the bootstrap over patients.
        seed: Of the draws.

    Returns:
        The report. With one class alone areas are NaN and no point is chosen here.

    Raises:
        ValueError: No case, a value outside of 0 to 1, or as in `scored`.
    """
    values, labels = scored(probabilities, truth)
    groups = np.arange(len(labels)) if patients is None else np.asarray(patients)
    error = expected_calibration_error(values, labels)
    cuts = {name: (float(threshold), "elsewhere") for name, threshold in (thresholds or {}).items()}
    if labels.any() and not labels.all():
        chosen = {
            "specificity 95 %": at_specificity(values, labels, 0.95),
            "sensitivity 80 %": at_sensitivity(values, labels, 0.80),
            "sensitivity = specificity": at_balance(values, labels),
        }
        cuts |= {name: (point.threshold, "these cases") for name, point in chosen.items()}
    cases = _Cases(values, labels, groups, replicates, seed)
    return ClassificationReport(
        cases=len(labels),
        patients=len(np.unique(groups)),
        positives=int(labels.sum()),
        negatives=int((~labels).sum()),
        auroc=cases.interval(area_under_roc),
        average_precision=cases.interval(average_precision),
        points={name: _point(cases, cut, chosen_on) for name, (cut, chosen_on) in cuts.items()},
        calibration_error=error,
        reliability=reliability_curve(values, labels),
    )


def report_detection(
    images: Sequence[ImageBoxes],
    *,
    min_iou: float = MIN_IOU,
    rates: Sequence[float] = RATES,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> DetectionReport:
    """Measure fROC and average precision of the boxes of one class.

    Raises:
        ValueError: As in `measure_froc`.
    """
    curve = measure_froc(images, min_iou=min_iou, rates=rates, replicates=replicates, seed=seed)
    precision = mean_average_precision({"all": images}, min_iou=min_iou, replicates=replicates, seed=seed)
    return DetectionReport(
        images=curve.images,
        patients=curve.patients,
        findings=curve.findings,
        min_iou=min_iou,
        froc_average=curve.average,
        rates=curve.rates,
        sensitivity_at_rates=tuple(float(value) for value in curve.at_rates),
        average_precision=precision.mean,
    )


def write_json(path: Path, evaluation: Evaluation) -> None:
    """Write an evaluation; what is not defined (NaN) becomes null, numbers keep six digits after the point.

    Raises:
        TypeError: `extra` holds what JSON cannot keep.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, **_plain(asdict(evaluation))}, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True, eq=False)
class _Cases:
    values: NDArray[np.float64]
    labels: Flags
    groups: Groups
    replicates: int
    seed: int

    def interval(self, figure: Callable[[NDArray[np.float64], Flags], float]) -> Interval:
        def statistic(drawn: NDArray[np.intp]) -> float:
            return figure(self.values[drawn], self.labels[drawn])

        return bootstrap(statistic, len(self.labels), self.groups, self.replicates, self.seed)


def _point(cases: _Cases, threshold: float, chosen_on: str) -> PointReport:
    def figure(name: str) -> Callable[[NDArray[np.float64], Flags], float]:
        return lambda values, labels: float(getattr(calls(values, labels, threshold), name))

    counts = calls(cases.values, cases.labels, threshold)
    exact = {
        "sensitivity": clopper_pearson(counts.true_positives, counts.true_positives + counts.false_negatives),
        "specificity": clopper_pearson(counts.true_negatives, counts.true_negatives + counts.false_positives),
    }
    figures = {name: cases.interval(figure(name)) for name in FIGURES}
    return PointReport(threshold, chosen_on, counts, figures, exact)


def _plain(value: Any) -> Any:
    """The same for JSON: NumPy numbers and arrays as plain ones, no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
