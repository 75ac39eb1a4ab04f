"""What calls at one threshold are worth: accuracy, sensitivity, specificity, precision, F1, confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundles.common.metrics.inputs import ratio, scored


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls against the truth, counted. A figure with nothing to divide by is NaN, never 0 or 1.

    Attributes:
        true_positives, false_positives, true_negatives, false_negatives: Cases.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def accuracy(self) -> float:
        """Share of right calls."""
        right = self.true_positives + self.true_negatives
        return ratio(right, right + self.false_positives + self.false_negatives)

    @property
    def sensitivity(self) -> float:
        """Share of the cases with the finding that were called; the same as recall."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def recall(self) -> float:
        """Sensitivity by its other name."""
        return self.sensitivity

    @property
    def specificity(self) -> float:
        """Share of the cases without the finding that were not called."""
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def precision(self) -> float:
        """Share of the calls that were right; NaN where nothing was called. It depends on how common the finding is."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


def calls(scores: ArrayLike, truth: ArrayLike, threshold: float) -> Calls:
    """Count calls at a threshold.

    Args:
        scores: (n,), higher is more suspicious; no case at all is allowed and makes every figure NaN.
        truth: (n,).
        threshold: Cases at or above are called.

    Raises:
        ValueError: As in `scored`, or a threshold that is NaN.
    """
    values, labels = scored(scores, truth)
    if np.isnan(threshold):
        raise ValueError("the threshold is NaN: no case can be at or above it")
    called = values >= threshold
    return Calls(
        true_positives=int((called & labels).sum()),
        false_positives=int((called & ~labels).sum()),
        true_negatives=int((~called & ~labels).sum()),
        false_negatives=int((~called & labels).sum()),
    )


def confusion_matrix(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """How often each class was taken for each.

    Args:
        truth: (n,) names.
        predicted: (n,) names.
        classes: Order of rows and columns.

    Returns:
        (classes, classes); rows are the truth, columns what was said.

    Raises:
        ValueError: Lists of different length, a class named twice, or a name that is no class.
    """
    if len(truth) != len(predicted):
        raise ValueError(f"expected a prediction for each of {len(truth)} cases, got {len(predicted)}")
    place = {name: index for index, name in enumerate(classes)}
    if len(place) != len(classes):
        raise ValueError(f"a class is named twice: {', '.join(classes)}")
    strangers = sorted({str(name) for name in (*truth, *predicted) if name not in place})
    if strangers:
        raise ValueError(f"{', '.join(strangers)}: none of the classes {', '.join(classes)}")
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, ([place[name] for name in truth], [place[name] for name in predicted]), 1)
    return matrix
