"""Projection heads: they stand on the encoder while it is pretrained and are dropped on export."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class ProjectionHead(nn.Sequential):
    """Layers from the encoder's features to the embedding that a loss compares: (batch, features) → (batch, dimension).

    Attributes:
        dimension: of the embedding.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], dimension: int) -> None:
        super().__init__(layers)
        self.dimension = dimension


def linear_head(features: int, dimension: int = 128) -> ProjectionHead:
    """One linear layer, as in the wrist study (seed 000, "SimCLR projection head": 512 → 128).

    Args:
        features: of the encoder.
        dimension: of the embedding.
    """
    return ProjectionHead(OrderedDict(output=nn.Linear(features, dimension)), dimension)


def mlp_head(
    features: int, hidden: int | None = None, dimension: int = 128, *, batch_norm: bool = False
) -> ProjectionHead:
    """Two layers with a ReLU between them.

    Without batch normalisation it is the head of MoCo v2 (Chen et al. 2020, arXiv 2003.04297); with it, the head of
    SwAV's reference (hidden 2048) and of the thesis's SimCLR (seed 002: 512 → 512 → BN → ReLU → 128).

    Args:
        features: of the encoder.
        hidden: width between the layers; the encoder's features where None.
        dimension: of the embedding.
        batch_norm: normalise the hidden layer over the batch.
    """
    width = features if hidden is None else hidden
    layers: OrderedDict[str, nn.Module] = OrderedDict(hidden=nn.Linear(features, width, bias=not batch_norm))
    if batch_norm:
        layers["norm"] = nn.BatchNorm1d(width)
    layers["activation"] = nn.ReLU()
    layers["output"] = nn.Linear(width, dimension)
    return ProjectionHead(layers, dimension)
