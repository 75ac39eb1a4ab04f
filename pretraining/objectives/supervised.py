"""Heads for the labels that some samples have: g_ω of seed 001, Eq. 5, on output or intermediate features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretraining.objectives.precision import at_least_float32


class SupervisedHead(nn.Module, ABC):
    """Predictions from an encoder, and the loss of every sample against its label.

    Attributes:
        uses_maps: whether ``forward`` takes the encoder's feature maps instead of its features.
    """

    uses_maps: bool = False

    @abstractmethod
    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """Logits.

        Args:
            features: (batch, features), or with ``uses_maps`` each (batch, channels, *spatial), fine to coarse.
        """

    @abstractmethod
    def sample_losses(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each sample, exactly zero and without gradient where it has no label.

        Args:
            logits: what ``forward`` gave.
            labels: (batch, …), NaN where unknown.

        Returns:
            losses (batch,) and known (batch,) bool.

        Raises:
            ValueError: labels of another shape or outside their range.
        """


class ClassHead(SupervisedHead):
    """One of several classes; labels are (batch,) class indices. Cross entropy.

    Args:
        features: of the encoder.
        classes: at least 2.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.output = nn.Linear(features, classes)

    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """(batch, classes) from (batch, features)."""
        logits: Tensor = self.output(features)
        return logits

    def sample_losses(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See ``SupervisedHead.sample_losses``."""
        _require_shape("a class head", labels, (len(logits),))
        known = ~labels.isnan()
        targets = labels.nan_to_num().long()
        if bool(((targets < 0) | (targets >= self.classes)).any()):
            raise ValueError(
                f"a class head of {self.classes} classes got labels up to {int(targets.max())}; classes count from 0"
            )
        losses = functional.cross_entropy(at_least_float32(logits), targets, reduction="none")
        return torch.where(known, losses, 0.0), known


class MultiLabelHead(SupervisedHead):
    """Several findings, each present or absent or unknown; labels are (batch, findings) of 0, 1 and NaN.

    A sample's loss is the mean binary cross entropy over its known findings.

    Args:
        features: of the encoder.
        findings: number of labels.
    """

    def __init__(self, features: int, findings: int) -> None:
        super().__init__()
        self.output = nn.Linear(features, findings)

    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """(batch, findings) from (batch, features)."""
        logits: Tensor = self.output(features)
        return logits

    def sample_losses(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See ``SupervisedHead.sample_losses``; (batch,) labels will do for a single finding."""
        if labels.ndim == 1 and logits.shape[1] == 1:
            labels = labels[:, None]
        _require_shape("a multi-label head", labels, tuple(logits.shape))
        return _mean_binary_losses(logits, labels)


class MaskHead(SupervisedHead):
    """A mask for each of several structures, from feature maps; labels are (batch, structures, *size), NaN unknown.

    The masks must lie in the geometry of the first crop. Each map goes through a 1×1 convolution, all are enlarged
    to the finest and added, and one 3×3 convolution gives the logits, enlarged to the mask's size. A sample's loss
    is the mean binary cross entropy over its known elements.

    Args:
        channels: of each feature map, fine to coarse.
        structures: number of masks.
        dimensions: 2 or 3.
        width: of the decoder.
    """

    uses_maps = True

    def __init__(self, channels: Sequence[int], structures: int, dimensions: int, width: int = 32) -> None:
        super().__init__()
        if dimensions not in {2, 3}:
            raise ValueError(f"a mask head works in 2 or 3 dimensions, not {dimensions}")
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.mode = "bilinear" if dimensions == 2 else "trilinear"
        self.lateral = nn.ModuleList([convolution(count, width, 1) for count in channels])
        self.output = convolution(width, structures, 3, padding=1)

    def forward(self, features: Tensor | Sequence[Tensor]) -> Tensor:
        """(batch, structures, *size of the finest map) from the maps."""
        if len(features) != len(self.lateral):
            raise ValueError(f"a mask head built for {len(self.lateral)} feature maps got {len(features)}")
        maps = [lateral(each) for lateral, each in zip(self.lateral, features, strict=True)]
        size = maps[0].shape[2:]
        merged = torch.stack([functional.interpolate(each, size=size, mode=self.mode) for each in maps]).sum(dim=0)
        logits: Tensor = self.output(functional.gelu(merged))
        return logits

    def sample_losses(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See ``SupervisedHead.sample_losses``; the logits are enlarged to the labels' size."""
        if labels.ndim != logits.ndim or labels.shape[:2] != logits.shape[:2]:
            raise ValueError(
                f"a mask head needs labels of shape (batch, structures, *size) with {tuple(logits.shape[:2])} in "
                f"front, found {tuple(labels.shape)}"
            )
        enlarged = functional.interpolate(at_least_float32(logits), size=labels.shape[2:], mode=self.mode)
        return _mean_binary_losses(enlarged, labels)


def _mean_binary_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    known = ~labels.isnan()
    targets = labels.nan_to_num().to(at_least_float32(logits).dtype)
    if bool(((targets < 0) | (targets > 1)).any()):
        raise ValueError("labels of findings and masks must lie between 0 and 1, or be NaN where unknown")
    losses = functional.binary_cross_entropy_with_logits(at_least_float32(logits), targets, reduction="none")
    sums = torch.where(known, losses, 0.0).flatten(1).sum(dim=1)
    counts = known.flatten(1).sum(dim=1)
    return sums / counts.clamp(min=1), counts > 0


def _require_shape(head: str, labels: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(labels.shape) != shape:
        raise ValueError(f"{head} needs labels of shape {shape}, found {tuple(labels.shape)}")
