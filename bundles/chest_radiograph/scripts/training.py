"""Pieces of the training configuration that MONAI does not have: batches with boxes, learning rate, order."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
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


def warm_cosine(steps: int, warm: float = 0.1) -> Callable[[int], float]:
    """Factor of the learning rate at every step: linear rise over the first share `warm`, cosine fall to 0.1 %.

    A plain function, which schedulers do not save: a resumed run with other epochs follows its own length.
    """

    def factor(step: int) -> float:
        share = min(step / max(1, steps), 1.0)
        if share < warm:
            return 0.04 + 0.96 * share / warm
        return 0.001 + 0.999 * (1 + math.cos(math.pi * (share - warm) / (1 - warm))) / 2

    return factor


def shuffle_every_epoch(trainer: Engine, sampler: Any) -> None:
    """Let a distributed sampler draw another order in each epoch, the same in all processes."""
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: sampler.set_epoch(trainer.state.epoch))
