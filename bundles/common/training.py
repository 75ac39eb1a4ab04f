"""Pieces of training and inference configurations that MONAI does not have and several bundles share."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn


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


def prepare_image(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None]:
    """The image on the device; there is no label."""
    return batch["image"].to(device, non_blocking=non_blocking), None


def synchronised(network: nn.Module) -> nn.Module:
    """Batch statistics over all processes where the devices allow it (CUDA); on CPU each process keeps its own."""
    if not next(network.parameters()).is_cuda:
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted
