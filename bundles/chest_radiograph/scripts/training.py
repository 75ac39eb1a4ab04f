"""Pieces of the training configuration that MONAI does not have: batches with boxes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bundles.chest_radiograph.scripts.truth import Truth, known_boxes


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Items of `TrainingItemd` as a batch: `image` (batch, 1, rows, columns) float32 and `truth`.

    Images have any number of boxes, so these stay lists.
    """
    images = torch.stack([item["image"].float() for item in items])
    labels = torch.stack([item["labels"] for item in items])
    known = [known_boxes(item["labels"], item["classes"], boxed=item["boxed"]) for item in items]
    truth = Truth(
        size=(images.shape[-2], images.shape[-1]),
        boxes=tuple(item["boxes"] for item in items),
        classes=tuple(item["classes"] for item in items),
        labels=labels,
        known=torch.stack(known),
    )
    return {"image": images, "truth": truth}


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Truth]:
    """A batch as (image, truth) on the device."""
    image = batch["image"].to(device, non_blocking=non_blocking)
    return image, batch["truth"].to(device, non_blocking=non_blocking)
