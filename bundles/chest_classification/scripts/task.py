"""What the outputs mean: several findings at once, or one class of several. The loss and the probabilities follow.

CheSS does both: CheXpert with binary cross entropy for each finding, its own six classes with one cross entropy.
"""

from collections.abc import Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

Scale = Sequence[tuple[float, float]]


class Task(StrEnum):
    """`task` of the configurations."""

    MULTI_LABEL = "multi_label"
    MULTI_CLASS = "multi_class"

    @classmethod
    def parse(cls, text: str) -> "Task":
        """The task of a configuration.

        Raises:
            ValueError: Another word.
        """
        try:
            return cls(text)
        except ValueError:
            words = " or ".join(cls)
            raise ValueError(f"the task is '{text}'; expected {words}") from None


class ClassificationLoss(nn.Module):
    """Binary cross entropy over the known labels, or cross entropy of the one class.

    Args:
        task: Of the configuration.
        smoothing: Of the labels towards the middle, or towards all classes alike.
    """

    def __init__(self, task: str, smoothing: float = 0.0) -> None:
        super().__init__()
        self.task, self.smoothing = Task.parse(task), smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss; 0 with a gradient of 0 where no label of a batch is known.

        Args:
            logits: (batch, classes).
            labels: (batch, classes) 1, 0, or NaN where unknown; of one class of several, a single 1 in each row.
        """
        if self.task is Task.MULTI_CLASS:
            return functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        known = ~labels.isnan()
        truth = labels[known] * (1 - self.smoothing) + self.smoothing / 2
        each: Tensor = functional.binary_cross_entropy_with_logits(logits[known], truth, reduction="none")
        return each.sum() / known.sum().clamp(min=1)


def scaled(logits: Tensor, scale: Scale) -> Tensor:
    """(…, classes) logits · factor + offset, each class its own; an empty scale changes nothing."""
    if not scale:
        return logits
    factors, offsets = logits.new_tensor(scale).T
    return torch.addcmul(offsets, logits, factors)


def probabilities(logits: Tensor, task: Task) -> Tensor:
    """(…, classes) → each by itself, or all of them together 1."""
    return logits.softmax(dim=-1) if task is Task.MULTI_CLASS else torch.sigmoid(logits)
