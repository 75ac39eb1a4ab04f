"""A small network that tells the views of radiographs apart."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bundles.common.views import VIEWS


class ViewNet(nn.Module):
    """Convolutions of 3 × 3, two a stage, each stage at half the size; then mean and maximum, and a linear layer.

    Values are 0 to 1, bright is dense, any size from 32 × 32; the input of the bundle is 128 × 128.

    Args:
        channels: Of the stages.
        views: How many are told apart.
        dropout: On the features.
    """

    def __init__(
        self, channels: Sequence[int] = (8, 16, 32, 64, 128), views: int = len(VIEWS), dropout: float = 0.2
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            stages += [*_convolution(before, after, stride=2), *_convolution(after, after, stride=1)]
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * channels[-1], views))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, rows, columns) → logits (batch, views)."""
        features = self.stages(x)
        logits: Tensor = self.head(torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1))
        return logits


def _convolution(before: int, after: int, *, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
