"""What one optimiser step takes and what it gives: between the archive, the trainer and its handlers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from pretraining.samples import RawBatch


class Sampler(Protocol):
    """What decides on the order of images and can go on where it was."""

    def state_dict(self) -> dict[str, Any]:
        """Position after the batches that were trained."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position."""


class Feed(Protocol):
    """Endless batches; see ``pretraining.archive.ArchiveFeed``."""

    batch_size: int
    steps_per_epoch: int
    accumulate: int
    identity: str
    sampler: Sampler

    def __iter__(self) -> Iterator[Step]:
        """From the sampler's position on."""


@dataclass(frozen=True)
class Step:
    """The data of one optimiser step.

    Attributes:
        batches: ``accumulate`` of them.
        waited: Seconds that training stood still for them.
        position: State of the sampler once this step is done.
    """

    batches: tuple[RawBatch, ...]
    waited: float
    position: dict[str, Any]


@dataclass(frozen=True)
class StepRecord:
    """What one step gave, for the handlers.

    Attributes:
        step: Optimiser steps that are done, from 1.
        epoch: From 1.
        loss: Of the joint batch of all processes.
        parts: Named shares of the objective, over all processes too.
        learning_rate: That the step was made with.
        gradient_norm: Of all parameters, before LARC.
        images: Of all processes.
        seconds: The step took, the wait for data included.
        waited: Seconds of it that this process waited for data.
        embeddings: (batch, dimension) of this process.
        groups: (batch,) int64, their modalities.
    """

    step: int
    epoch: int
    loss: float
    parts: dict[str, float]
    learning_rate: float
    gradient_norm: float
    images: int
    seconds: float
    waited: float
    embeddings: Tensor = field(repr=False)
    groups: Tensor = field(repr=False)

    @property
    def images_per_second(self) -> float:
        """Over all processes."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def data_wait(self) -> float:
        """Share of the step that was waiting, 0 to 1."""
        return self.waited / max(self.seconds, 1e-9)
