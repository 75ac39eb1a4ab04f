"""Pieces of the training configuration that MONAI does not have: batches with boxes, precision, learning rate."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

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


class Autocast(nn.Module):
    """Runs a network in bfloat16 where that is sound (`torch.autocast`); parameters stay float32.

    Args:
        network: Whose parameters are trained; its state dict is what gets saved, never this wrapper's.
        device: Its type chooses the kind of autocast.
        enabled: False runs in float32.
    """

    def __init__(self, network: nn.Module, device: torch.device | str, *, enabled: bool = True) -> None:
        super().__init__()
        self.network = network
        self.device_type = torch.device(device).type
        self.enabled = enabled

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Same as the network, outputs in float32."""
        with torch.autocast(self.device_type, dtype=torch.bfloat16, enabled=self.enabled):
            outputs = self.network(x)
        return {key: value.float() for key, value in outputs.items()}


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


def synchronised(network: nn.Module) -> nn.Module:
    """Batch statistics over all processes where the devices allow it (CUDA); on CPU each process keeps its own."""
    if not next(network.parameters()).is_cuda:
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


def shuffle_every_epoch(trainer: Engine, sampler: Any) -> None:
    """Let a distributed sampler draw another order in each epoch, the same in all processes."""
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: sampler.set_epoch(trainer.state.epoch))
