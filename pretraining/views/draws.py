"""Random numbers for views: per sample, in float64, from one CPU generator, so that every device draws the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Bounds = tuple[float, float]


def uniform(shape: Sequence[int], bounds: Bounds, generator: torch.Generator) -> Tensor:
    """Values between both bounds, float64 of this shape."""
    low, high = bounds
    return low + (high - low) * torch.rand(tuple(shape), generator=generator, dtype=torch.float64)


def happens(shape: Sequence[int], probability: float, generator: torch.Generator) -> Tensor:
    """True with this probability, bool of this shape."""
    return torch.rand(tuple(shape), generator=generator, dtype=torch.float64) < probability


def seeds(count: int, generator: torch.Generator) -> Tensor:
    """One seed of 32 bits a sample, (count,) int64."""
    return torch.randint(0, 2**32, (count,), generator=generator, dtype=torch.int64)


def check_bounds(name: str, bounds: Bounds, least: float | None = None) -> None:
    """Raise ValueError unless ``least`` <= low <= high."""
    low, high = bounds
    if not low <= high or (least is not None and low < least):
        wanted = "low <= high" if least is None else f"{least} <= low <= high"
        raise ValueError(f"{name} is {bounds}, expected (low, high) with {wanted}")


def check_probability(name: str, probability: float) -> None:
    """Raise ValueError unless the probability lies in [0, 1]."""
    if not 0 <= probability <= 1:
        raise ValueError(f"{name} is {probability}, expected a probability from 0 to 1")
