"""Pieces of this bundle's configurations that MONAI does not have."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bundles.common.views import VIEWS
from bundles.radiograph_view.scripts.augment import augment


class AugmentedBatch:
    """Hands a batch to training, augmented on the device; see `augment`.

    Args:
        size: Side of the network's input in pixels.
        seed: Makes a batch look the same every time, for validation; None draws anew.
    """

    def __init__(self, size: int, seed: int | None = None) -> None:
        self.size, self.seed = size, seed

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, size, size) and labels (batch,)."""
        images, labels = (batch[key].to(device, non_blocking=non_blocking) for key in ("image", "label"))
        sizes = batch["placement"][:, 2:].to(device)
        if self.seed is None:
            return augment(images, sizes, labels, self.size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + int(labels.sum()))
            return augment(images, sizes, labels, self.size)


def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of `Viewsd` as JSON takes it."""
    found = dict(zip(VIEWS, (round(float(each), 4) for each in item["probabilities"]), strict=True))
    return {"view": max(found, key=lambda name: found[name]), "probabilities": found}
