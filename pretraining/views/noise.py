"""Gaussian noise from a seed for each sample: the same on every device, whatever the batch around it.

`torch.randn` takes one generator for a batch and has another one on each device. Here every pixel hashes its index
with its sample's seed into 23 uniform bits, which the inverse error function makes normal.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def _mixed(values: Tensor) -> Tensor:
    """A hash of 32 bits of int64 values from 0 to 2**32 - 1, in place (multipliers of 27 bits cannot overflow)."""
    for _ in range(2):
        values.bitwise_xor_(values >> 16).mul_(0x45D9F3B).bitwise_and_(_MASK)
    return values.bitwise_xor_(values >> 16)


def normal(seeds: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal values, (batch, *shape) float32, for (batch,) seeds from 0 to 2**32 - 1."""
    index = _mixed(torch.arange(math.prod(shape), dtype=torch.int64, device=device))
    bits = _mixed(index[None] ^ _mixed(seeds.clone()).to(device)[:, None])
    uniform = bits.bitwise_right_shift_(9).to(torch.float32).add_(0.5).mul_(2.0**-22).sub_(1)
    return uniform.erfinv_().mul_(math.sqrt(2)).view(len(seeds), *shape)
