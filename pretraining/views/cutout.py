"""Cutout (DeVries and Taylor 2017): boxes of a crop are made black."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pretraining.views.draws import Bounds, check_bounds, check_probability, happens, uniform
from pretraining.views.intensity import Change


@dataclass(frozen=True)
class CutoutParams:
    """Edges of the boxes as shares of the crop; empty boxes (lower = upper) where a sample is left alone.

    Attributes:
        lower, upper: (batch, holes, 3) float64; a 2-D crop uses the last two columns.
    """

    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class Cutout(Change[CutoutParams]):
    """Boxes at random places, each edge a uniform share of the crop's; what leaves the crop is cut off.

    Attributes:
        holes: boxes in each sample.
        edge: length of an edge as a share of the crop's.
        fill: value in the boxes.
        probability: that a sample gets its boxes.
    """

    holes: int = 1
    edge: Bounds = (0.1, 0.3)
    fill: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.holes < 1:
            raise ValueError(f"cutout with {self.holes} holes, expected 1 or more")
        check_bounds("edge of cutout", self.edge, 0)
        check_probability("probability of cutout", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> CutoutParams:
        """Draw boxes."""
        middle = uniform((count, self.holes, 3), (0, 1), generator)
        edge = uniform((count, self.holes, 3), self.edge, generator)
        edge = edge * happens((count, 1, 1), self.probability, generator)
        return CutoutParams((middle - edge / 2).clamp(0, 1), (middle + edge / 2).clamp(0, 1))

    def apply_(self, crops: Tensor, params: CutoutParams) -> Tensor:
        """Fill the boxes."""
        axes = crops.ndim - 2
        size = torch.tensor(crops.shape[2:], dtype=torch.float64)
        lower = (params.lower[..., -axes:] * size).round().long().tolist()
        upper = (params.upper[..., -axes:] * size).round().long().tolist()
        for crop, lows, highs in zip(crops, lower, upper, strict=True):
            for low, high in zip(lows, highs, strict=True):
                crop[(slice(None), *map(slice, low, high))] = self.fill
        return crops
