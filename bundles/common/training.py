"""Pieces of training and inference configurations that MONAI does not have and several bundles share."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import Dataset
from monai.transforms import Randomizable
from torch import Tensor, nn

SEEDS = 2**32


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


class SeedEveryEpoch:
    """Seeds order, drawing, augmentation and dropout at the start of each epoch by its number.

    So an epoch is the same whether or not the run was interrupted before it. Workers of the loader must not outlive an
    epoch (`persistent_workers`).

    Args:
        seed: Of the run.
        sampler: Has `set_epoch`.
        dataset: Its transform draws from a state of its own, as MONAI's do; None where it draws from torch's.
        rank: Of this process: each augments otherwise.
    """

    def __init__(self, seed: int, sampler: Any, dataset: Dataset | None = None, rank: int = 0) -> None:
        self.seed, self.sampler, self.dataset, self.rank = seed, sampler, dataset, rank

    def attach(self, engine: Engine) -> None:
        """Seed at the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._seed)

    def _seed(self, engine: Engine) -> None:
        self.sampler.set_epoch(engine.state.epoch)
        number = (self.seed * 1_000_003 + engine.state.epoch * 1009 + self.rank) % SEEDS
        torch.manual_seed(number)
        if self.dataset is not None and isinstance(self.dataset.transform, Randomizable):
            self.dataset.transform.set_random_state(number)


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
