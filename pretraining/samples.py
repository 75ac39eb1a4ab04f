"""What the archive hands to the views: a batch of whole images as they are stored, each of its own size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Images of one batch, undecorated.

    Attributes:
        images: one tensor a sample, each (1, *spatial) of its own size, uint8, uint16 or float32. ``spatial`` is
            (rows, columns) or (depth, rows, columns).
        ranges: (batch, 2) float32, the stored values that mean black (0) and white (1) of each image.
        groups: (batch,) int64, index of the sample's group (its modality) in the store's ``group_names``.
        keys: sample ids; hashes, never patient data.
        labels: name to a (batch, …) float32 tensor, NaN where unknown; empty without labels.
    """

    images: tuple[Tensor, ...]
    ranges: Tensor
    groups: Tensor
    keys: tuple[str, ...]
    labels: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> RawBatch:
        """The same batch on another device; copies from pinned memory run beside the computation."""
        return RawBatch(
            images=tuple(image.to(device, non_blocking=True) for image in self.images),
            ranges=self.ranges.to(device, non_blocking=True),
            groups=self.groups.to(device, non_blocking=True),
            keys=self.keys,
            labels={name: values.to(device, non_blocking=True) for name, values in self.labels.items()},
        )
