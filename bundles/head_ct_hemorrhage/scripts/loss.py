"""The loss over the three tasks, for data sets that are labelled in part."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

TASKS = ("hemorrhage", "types", "slices")


class MultiTaskLoss(nn.Module):
    """Weighted sum of binary cross-entropies; labels that are NaN are left out.

    Each task's term is the mean over its known labels in the batch. A task without any known label adds zero (not NaN),
    and the gradient to its head is zero.

    Args:
        hemorrhage: Weight of the main task.
        types: Weight of the five types.
        slices: Weight of presence in every slice.
    """

    def __init__(self, hemorrhage: float = 1.0, types: float = 1.0, slices: float = 1.0) -> None:
        super().__init__()
        self.weights = {"hemorrhage": hemorrhage, "types": types, "slices": slices}

    def forward(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss.

        Args:
            logits: `hemorrhage` (batch, 1), `types` (batch, 5), `slices` (batch, depth).
            targets: The same keys and shapes, 0 to 1, NaN where unknown.
        """
        terms = [self.weights[task] * masked_bce(logits[task], targets[task]) for task in TASKS]
        return torch.stack(terms).sum()


def masked_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are not NaN; 0 where none is known. Computed in float32."""
    known = ~torch.isnan(targets)
    each = functional.binary_cross_entropy_with_logits(logits.float(), torch.nan_to_num(targets), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
