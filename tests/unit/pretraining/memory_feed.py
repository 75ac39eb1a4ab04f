"""A small archive in memory, for tests of the loop alone: the order of images follows from the step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pretraining.samples import RawBatch
from pretraining.steps import Step


class Counter:
    """A position that is a number of steps."""

    def __init__(self) -> None:
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


class MemoryFeed:
    """Random images; which ones a step gets depends on its number alone.

    Args:
        spatial: of every image.
        poison: step (from 0) whose first image holds a NaN.
    """

    def __init__(
        self,
        spatial: tuple[int, ...] = (20, 20),
        *,
        count: int = 24,
        batch_size: int = 4,
        steps_per_epoch: int = 5,
        accumulate: int = 1,
        groups: int = 1,
        poison: int | None = None,
    ) -> None:
        self.batch_size, self.steps_per_epoch, self.accumulate = batch_size, steps_per_epoch, accumulate
        self.identity = f"{count} random images of {spatial}"
        self.sampler = Counter()
        self.images = torch.rand(count, 1, *spatial, generator=torch.Generator().manual_seed(1))
        self.groups, self.poison = groups, poison

    def __iter__(self) -> Iterator[Step]:
        step = self.sampler.steps
        while True:
            batches = tuple(self.batch(step * self.accumulate + index) for index in range(self.accumulate))
            step += 1
            yield Step(batches, waited=0.0, position={"steps": step})

    def batch(self, index: int) -> RawBatch:
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(index))[: self.batch_size]
        images = [self.images[place].clone() for place in order]
        if index == self.poison:
            images[0].flatten()[0] = float("nan")
        return RawBatch(
            images=tuple(images),
            ranges=torch.tensor([[0.0, 1.0]]).repeat(self.batch_size, 1),
            groups=torch.arange(self.batch_size) % self.groups,
            keys=tuple(f"image{int(place)}" for place in order),
            labels={"finding": torch.where(order % 2 == 0, (order % 4 == 0).float(), torch.nan)},
        )


def tiny_encoder(dimensions: int = 2, features: int = 8) -> nn.Module:
    """A small network with batch normalisation."""
    convolution: Any = nn.Conv2d if dimensions == 2 else nn.Conv3d
    norm: Any = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(convolution(1, features, 3, stride=2), norm(features), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            maps: Tensor = self.body(x)
            return maps.flatten(2).mean(dim=2)

    return Pooled()
