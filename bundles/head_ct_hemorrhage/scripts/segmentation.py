"""The segmentation head on the feature space: a small decoder over the outputs of the five dense blocks.

The paper reports that such a head helps (§4.5: AUC 0.94 → 0.97) and says no more of it. Here the deepest block is
brought to a few channels and then, block by block, enlarged, added to the next finer block's and mixed by one unit. The
last unit works at the first block's resolution, half of the input's in plane; its logits are interpolated to the
input's.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.dense3d import IN_PLANE_BLOCKS, unit

WIDTHS = (8, 16, 24, 24, 24)
"""Channels of the decoder beside blocks 1 to 5."""
PRIOR = -4.0
"""Logit of a voxel before training: blood is rare."""


class SegmentationHead(nn.Module):
    """Blood or not, in every voxel of the input.

    Args:
        block_channels: Of the encoder's blocks, the finest first.
        widths: Of the decoder beside each.
    """

    def __init__(self, block_channels: tuple[int, ...], widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Conv3d(channels, width, 1) for channels, width in zip(block_channels, widths, strict=True)
        )
        self.narrow = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.mix = nn.ModuleList(
            unit(width, width, (1, 3, 3) if level < IN_PLANE_BLOCKS else (3, 3, 3), (1, 1, 1))
            for level, width in enumerate(widths)
        )
        self.out = nn.Conv3d(widths[0], 1, 1)
        nn.init.constant_(cast("Tensor", self.out.bias), PRIOR)

    def forward(self, blocks: list[Tensor], size: tuple[int, int, int]) -> Tensor:
        """Blocks' outputs → logits (batch, 1, depth, rows, columns).

        Args:
            blocks: As `Encoder.blocks_of` gives them.
            size: (depth, rows, columns) of the encoder's input.
        """
        x = self.mix[-1](self.lateral[-1](blocks[-1]))
        for level in reversed(range(len(blocks) - 1)):
            x = _enlarged(self.narrow[level](x), blocks[level].shape[2:])
            x = self.mix[level](x + self.lateral[level](blocks[level]))
        return _enlarged(self.out(x), torch.Size(size))


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size=list(size), mode="trilinear", align_corners=False)
