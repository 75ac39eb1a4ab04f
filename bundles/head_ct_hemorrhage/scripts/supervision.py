"""Mask supervision while training: where the bleeds are, on the features of the deep blocks.

The paper reports that a segmentation head on the feature space helps (§4.5, AUC 0.94 → 0.97). Here one 1×1×1
convolution on each of blocks 3, 4 and 5 learns which cells hold which type of bleed. It lives beside the network and is
left behind after training: the saved network is the paper's, with three heads. Cases without a mask are left out.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundles.head_ct_hemorrhage.scripts.loss import MultiTaskLoss
from bundles.head_ct_hemorrhage.scripts.network import TYPES, HemorrhageNet

DEEP_BLOCKS = (2, 3, 4)


class MaskSupervised(nn.Module):
    """A network with mask logits beside its own.

    Args:
        network: Whose features are supervised.
    """

    def __init__(self, network: HemorrhageNet) -> None:
        super().__init__()
        self.network = network
        channels = network.encoder.block_channels
        self.heads = nn.ModuleList(nn.Conv3d(channels[block], len(TYPES), 1) for block in DEEP_BLOCKS)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(batch, 1, depth, rows, columns) → the network's logits, and in training `mask_0` to `mask_2`."""
        if not self.training:
            logits: dict[str, Tensor] = self.network(x)
            return logits
        blocks = self.network.encoder.blocks_of(x)
        masks = {
            f"mask_{i}": head(blocks[block])
            for i, (head, block) in enumerate(zip(self.heads, DEEP_BLOCKS, strict=True))
        }
        return {**self.network.heads(blocks, x.shape[2]), **masks}


class SupervisedLoss(nn.Module):
    """`MultiTaskLoss` plus balanced cross-entropy of the mask logits.

    Args:
        mask: Weight of the mask terms, which are averaged over levels.
        positive: How much more a cell with blood weighs than one without; blood is rare.
        tasks: Weights of `MultiTaskLoss`.
    """

    def __init__(self, mask: float = 4.0, positive: float = 8.0, tasks: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.tasks = MultiTaskLoss(**(tasks or {}))
        self.mask = mask
        self.positive = positive

    def forward(self, logits: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss; targets as in `MultiTaskLoss`, with `mask` (batch, 5, depth, rows, columns) in (0, 1) and
        `mask_known` (batch, 1).
        """
        loss: Tensor = self.tasks(logits, targets)
        levels = [value for name, value in logits.items() if name.startswith("mask_")]
        if not levels or "mask" not in targets:
            return loss
        terms = [self._level(level.float(), targets["mask"], targets["mask_known"]) for level in levels]
        return loss + self.mask * torch.stack(terms).mean()

    def _level(self, logits: Tensor, mask: Tensor, known: Tensor) -> Tensor:
        cells = (functional.adaptive_max_pool3d(mask, logits.shape[2:]) > 0.3).float()
        weights = 1 + (self.positive - 1) * cells
        each = weights * functional.binary_cross_entropy_with_logits(logits, cells, reduction="none")
        return (each.mean(dim=(1, 2, 3, 4)) * known[:, 0]).sum() / known.sum().clamp(min=1)
