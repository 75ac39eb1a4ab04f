"""Focal loss, for many easy negatives and few positives."""

import torch
from torch import Tensor
from torch.nn import functional


def focal(logits: Tensor, truth: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of every element (Lin et al., ICCV 2017, equation 5), of the shape of `logits`; `truth` is 0 or 1."""
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = torch.exp(-entropy)
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    return balance * (1 - right) ** gamma * entropy
