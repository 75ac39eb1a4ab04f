"""Gaussian noise from a seed for each sample: the same on every device, whatever the batch around it.

`torch.randn` takes one generator for a batch and has another one on each device. Here every pixel hashes its index
with its sample's seed into 32 uniform bits, which the inverse error function makes normal.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

_HALF = (2**24 - 1) * 2.0**-55  # brings an int32 into (-1, 1): its ends, rounded to 24 bits, must not become ±1


def _mixed(values: Tensor, spare: Tensor) -> Tensor:
    """A hash of 32 bits of int32 values, in place; products wrap, as they do in vector registers and on GPUs."""
    for shift in (16, 15):
        torch.bitwise_right_shift(values, shift, out=spare)
        values.bitwise_xor_(spare.bitwise_and_((1 << (32 - shift)) - 1)).mul_(0x45D9F3B)
    return values


@lru_cache(maxsize=8)
def _indices(count: int, device: torch.device) -> Tensor:
    """(1, count) int32, the hashed indices of a crop's pixels."""
    index = torch.arange(count, dtype=torch.int32, device=device)[None]
    return _mixed(index, torch.empty_like(index))


def scaled(bits: Tensor) -> Tensor:
    """int32 values, all equally likely, as standard normal ones over √2, float32."""
    return bits.to(torch.float32).mul_(_HALF).erfinv_()


def normal(seeds: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal values, (batch, *shape) float32, for (batch,) seeds from 0 to 2**32 - 1."""
    own = (seeds - 2**31).to(torch.int32)[:, None]
    bits = _indices(math.prod(shape), device) ^ _mixed(own, torch.empty_like(own)).to(device)
    values = scaled(_mixed(bits, torch.empty_like(bits)))
    return values.mul_(math.sqrt(2)).view(len(seeds), *shape)
