"""What every figure takes, and the checks that they share."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Groups = NDArray[Any]


def scored(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], Flags]:
    """Scores and labels of the same cases as arrays.

    Args:
        scores: (n,), higher is more suspicious.
        truth: (n,) bool, or 0 and 1.

    Raises:
        ValueError: Not two lists of one length, a score that is not finite, or a label that is neither 0 nor 1. Cases
            of unknown label are left out by the caller (`known`), who thereby says so.
    """
    values = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(truth)
    if values.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"expected one score and one label a case, got shapes {values.shape} and {labels.shape}")
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise ValueError(
            f"{wrong} of {len(values)} scores are NaN or infinite; find out which cases the network failed on"
        )
    if labels.dtype != np.bool_ and not np.isin(labels, (0, 1)).all():
        raise ValueError(
            "labels must be 0 or 1; leave out cases of unknown label before (bundles.common.metrics.known)"
        )
    return values, labels.astype(np.bool_)


def both_classes(truth: Flags, purpose: str) -> tuple[int, int]:
    """Number of positives and of negatives.

    Raises:
        ValueError: One of them is missing; `purpose` begins the sentence.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(
            f"{purpose} needs cases with and without the finding, got {positives} with, {negatives} without"
        )
    return positives, negatives


def known(truth: ArrayLike) -> Flags:
    """Where a label is known: (n,) labels, NaN unknown."""
    flags: Flags = ~np.isnan(np.asarray(truth, dtype=np.float64))
    return flags


def ratio(part: float, whole: float) -> float:
    """Part / whole; NaN where there is nothing to divide by."""
    return float(part / whole) if whole else float("nan")
