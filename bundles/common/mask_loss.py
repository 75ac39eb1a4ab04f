"""Losses of masks in which little is foreground: Dice over the batch, and focal loss by foreground voxel."""

import torch
from torch import Tensor

from bundles.common.focal import focal

ALPHA = 0.75
LEAST_VOXELS = 100.0
"""By so many voxels the focal term is divided at least: a batch without foreground would otherwise divide by none."""
SMOOTH = 1.0


def dice_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """1 − Dice over the batch; `known` (batch, 1, 1, …) is 0 for images to leave out.

    Args:
        logits: (batch, channels, …) float32.
        truth: Of the same shape, 0 to 1.
        known: (batch, 1, 1, …).
    """
    probability = torch.sigmoid(logits) * known
    shared = (probability * truth).sum()
    return 1 - (2 * shared + SMOOTH) / (probability.sum() + (truth * known).sum() + SMOOTH)


def focal_loss(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Focal loss of known voxels, summed and divided by the foreground voxels among them; as in `dice_loss`."""
    return (focal(logits, truth, alpha=ALPHA) * known).sum() / (truth * known).sum().clamp(min=LEAST_VOXELS)
