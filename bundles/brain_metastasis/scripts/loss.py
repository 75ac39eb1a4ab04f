"""The loss over masks and slices, for heads that are labelled in part."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.mask_loss import dice_loss, focal_loss


class MetastasisLoss(nn.Module):
    """Dice and focal loss of the mask, binary cross-entropy of the slices; what is unknown is left out.

    Dice is that of the whole batch, because most slices have nothing to overlap with. The focal term is divided by the
    number of voxels of metastases, as RetinaNet divides by its boxes.

    Args:
        mask: Weight of both mask terms.
        slices: Weight of the slices.
        focal_share: Weight of the focal term beside Dice.
    """

    def __init__(self, mask: float = 1.0, slices: float = 1.0, focal_share: float = 1.0) -> None:
        super().__init__()
        self.mask, self.slices, self.focal_share = mask, slices, focal_share

    def forward(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss, in float32.

        Args:
            logits: `mask` (batch, 1, rows, columns), `slices` (batch, 1).
            targets: The same keys and shapes, 0 or 1, `slices` NaN where unknown; `mask_known` (batch, 1).
        """
        known = targets["mask_known"][:, :, None, None]
        mask, truth = logits["mask"].float(), targets["mask"]
        loss = self.mask * (dice_loss(mask, truth, known) + self.focal_share * focal_loss(mask, truth, known))
        return loss + self.slices * known_entropy(logits["slices"].float(), targets["slices"])


def known_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean binary cross-entropy over labels that are not NaN; 0 where none is known."""
    known = ~torch.isnan(truth)
    each = functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(truth), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
