"""What is fitted on validation cases: Platt scaling and the operating point of a finding."""

from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import ArrayLike

from bundles.common.metrics import OperatingPoint, Platt, area_under_roc, at_balance, fit_platt, known

log = structlog.get_logger()

# Rounded to the digits of the files, a threshold still lies within 0 and 1.
LEAST, MOST = 0.001, 0.999


@dataclass(frozen=True, slots=True)
class Fitted:
    """What validation cases say of one finding.

    Attributes:
        scale: Of its logits.
        point: Where sensitivity and specificity of the calibrated probability are equal.
        cases: Of known label.
    """

    scale: Platt
    point: OperatingPoint
    cases: int

    @property
    def threshold(self) -> float:
        """Of the calibrated probability, as the service takes it."""
        return min(max(self.point.threshold, LEAST), MOST)


def fit_finding(logits: ArrayLike, labels: ArrayLike) -> Fitted:
    """Fit Platt scaling and the operating point on cases: (n,) logits and labels 0, 1 or NaN for unknown ones.

    Platt's factor is positive: of logits that order the cases no better than chance nothing is left, and the log warns.

    Raises:
        ValueError: One of the classes is missing.
    """
    values, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    labelled = known(truth)
    values, flags = values[labelled], truth[labelled] >= 0.5
    scale = fit_platt(values, flags)
    if (area := area_under_roc(values, flags)) <= 0.5:
        log.warning("logits_tell_nothing", auroc=round(area, 3), cases=len(values), then="all get one probability")
    return Fitted(scale, at_balance(scale.apply(values), flags), len(values))
