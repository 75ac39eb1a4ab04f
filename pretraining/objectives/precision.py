"""Where losses are computed: in float32 at least, whatever the network ran in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32; float64 stays as it is."""
    return values if values.dtype == torch.float64 else values.float()


def outside_autocast(device: torch.device) -> torch.autocast:
    """A region in which autocast does not turn the products of a loss into bf16 or fp16."""
    return torch.autocast(device_type=device.type, enabled=False)


def unit_vectors(values: Tensor, dim: int = -1) -> Tensor:
    """Divided by their Euclidean norm, in float32 at least; a zero vector stays zero.

    Args:
        values: any shape.
        dim: the dimension that holds a vector's components.
    """
    return functional.normalize(at_least_float32(values), dim=dim)
