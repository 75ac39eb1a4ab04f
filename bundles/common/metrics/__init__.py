"""What the papers report, once: figures, curves, intervals, comparisons. NumPy and SciPy only.

Handlers for engines (`handlers`, which needs torch), pictures (`plots`, matplotlib) and what an evaluation writes
(`report`, `card`) are modules of their own.
"""

from bundles.common.metrics.calibration import (
    Platt,
    ReliabilityBin,
    Temperature,
    expected_calibration_error,
    fit_platt,
    fit_softmax_temperature,
    fit_temperature,
    reliability_curve,
    sigmoid,
)
from bundles.common.metrics.classification import Calls, calls, confusion_matrix
from bundles.common.metrics.comparisons import (
    DeLong,
    PairedT,
    TableTest,
    delong,
    mcnemar_corrected,
    mcnemar_exact,
    paired_t,
    stuart_maxwell,
)
from bundles.common.metrics.convergence import convergence_epoch, epochs_saved
from bundles.common.metrics.froc import RATES, Froc, at_score, measure_froc, score_at_rate
from bundles.common.metrics.inputs import Flags, Groups, Scores, known
from bundles.common.metrics.intervals import (
    Difference,
    Interval,
    bootstrap,
    bootstrap_difference,
    bootstrap_several,
    clopper_pearson,
)
from bundles.common.metrics.matching import ImageBoxes, image_boxes, intersection_over_union
from bundles.common.metrics.mean_average_precision import MeanAveragePrecision, mean_average_precision
from bundles.common.metrics.operating import (
    OperatingPoint,
    at_balance,
    at_sensitivity,
    at_specificity,
    balanced_threshold,
    sensitivity_specificity,
)
from bundles.common.metrics.robustness import Change, Deviation, Ranges, Spread, changed, measure_robustness, spread
from bundles.common.metrics.roc import (
    Auc,
    PrecisionRecallCurve,
    RocBand,
    RocCurve,
    area_under_roc,
    average_precision,
    bootstrap_auc,
    precision_recall_curve,
    roc_band,
    roc_curve,
)

__all__ = [
    "RATES",
    "Auc",
    "Calls",
    "Change",
    "DeLong",
    "Deviation",
    "Difference",
    "Flags",
    "Froc",
    "Groups",
    "ImageBoxes",
    "Interval",
    "MeanAveragePrecision",
    "OperatingPoint",
    "PairedT",
    "Platt",
    "PrecisionRecallCurve",
    "Ranges",
    "ReliabilityBin",
    "RocBand",
    "RocCurve",
    "Scores",
    "Spread",
    "TableTest",
    "Temperature",
    "area_under_roc",
    "at_balance",
    "at_score",
    "at_sensitivity",
    "at_specificity",
    "average_precision",
    "balanced_threshold",
    "bootstrap",
    "bootstrap_auc",
    "bootstrap_difference",
    "bootstrap_several",
    "calls",
    "changed",
    "clopper_pearson",
    "confusion_matrix",
    "convergence_epoch",
    "delong",
    "epochs_saved",
    "expected_calibration_error",
    "fit_platt",
    "fit_softmax_temperature",
    "fit_temperature",
    "image_boxes",
    "intersection_over_union",
    "known",
    "mcnemar_corrected",
    "mcnemar_exact",
    "mean_average_precision",
    "measure_froc",
    "measure_robustness",
    "paired_t",
    "precision_recall_curve",
    "reliability_curve",
    "roc_band",
    "roc_curve",
    "score_at_rate",
    "sensitivity_specificity",
    "sigmoid",
    "spread",
    "stuart_maxwell",
]
