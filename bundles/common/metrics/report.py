"""What an evaluation found, as values, and the JSON file that keeps it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundles.common.metrics.calibration import ReliabilityBin, expected_calibration_error, reliability_curve
from bundles.common.metrics.classification import Calls, calls
from bundles.common.metrics.froc import MIN_IOU, RATES, measure_froc
from bundles.common.metrics.inputs import Flags, Groups, Scores, scored
from bundles.common.metrics.intervals import REPLICATES, Interval, bootstrap_several, clopper_pearson
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
            chosen here: specificity 95 %, sensitivity 80 %, sensitivity = specificity.
        replicates: Of the bootstrap over patients.
        seed: Of the draws.

    Returns:
        The report. With one class alone areas are NaN and no point is chosen here.

    Raises:
        ValueError: No case, a value outside of 0 to 1, a threshold with the name of a point chosen here, or as in
            `scored`.
    """
    values, labels = scored(probabilities, truth)
    groups = np.arange(len(labels)) if patients is None else np.asarray(patients)
    error = expected_calibration_error(values, labels)
    cuts = _cuts(values, labels, thresholds or {})

    def everything(drawn: NDArray[np.intp]) -> list[float]:
        own, flags = values[drawn], labels[drawn]
        figures = [area_under_roc(own, flags), average_precision(own, flags)]
        for threshold, _ in cuts.values():
            counts = calls(own, flags, threshold)
            figures += [float(getattr(counts, name)) for name in FIGURES]
        return figures

    auroc, precision, *rest = bootstrap_several(everything, len(labels), groups, replicates, seed)
    by_point = [rest[start : start + len(FIGURES)] for start in range(0, len(rest), len(FIGURES))]
    return ClassificationReport(
        cases=len(labels),
        patients=len(np.unique(groups)),
        positives=int(labels.sum()),
        negatives=int((~labels).sum()),
        auroc=auroc,
        average_precision=precision,
        points={
            name: _point(calls(values, labels, threshold), threshold, chosen_on, figures)
            for (name, (threshold, chosen_on)), figures in zip(cuts.items(), by_point, strict=True)
        },
        calibration_error=error,
        reliability=reliability_curve(values, labels),
    )


def _cuts(values: Scores, labels: Flags, thresholds: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """Name to threshold and where it was chosen: those given, and three from these cases if both classes are here."""
    cuts = {name: (float(threshold), "elsewhere") for name, threshold in thresholds.items()}
    if labels.all() or not labels.any():
        return cuts
    chosen = {
        "specificity 95 %": at_specificity(values, labels, 0.95),
        "sensitivity 80 %": at_sensitivity(values, labels, 0.80),
        "sensitivity = specificity": at_balance(values, labels),
    }
    twice = sorted(cuts.keys() & chosen.keys())
    if twice:
        raise ValueError(f"{', '.join(twice)}: the name of a point chosen here; name the threshold otherwise")
    return cuts | {name: (point.threshold, "these cases") for name, point in chosen.items()}


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


def _point(counts: Calls, threshold: float, chosen_on: str, figures: Sequence[Interval]) -> PointReport:
    exact = {
        "sensitivity": clopper_pearson(counts.true_positives, counts.true_positives + counts.false_negatives),
        "specificity": clopper_pearson(counts.true_negatives, counts.true_negatives + counts.false_positives),
    }
    return PointReport(threshold, chosen_on, counts, dict(zip(FIGURES, figures, strict=True)), exact)


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
