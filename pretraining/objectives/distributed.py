"""Collectives of torch.distributed that become the identity on one process.

All of them work on the default process group, with gloo and with nccl. Tensors must have the same shape on every
process, so every process needs the same batch size. Ranks stand in order: a gathered batch is the joint batch.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


@torch.no_grad()
def gather(values: Tensor) -> Tensor:
    """Join the tensors of all processes, without gradient.

    Args:
        values: (batch, …).

    Returns:
        (processes · batch, …), the same on every process.
    """
    if world_size() == 1:
        return values.detach()
    parts = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.batch = len(values)
        return gather(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[rank() * ctx.batch : (rank() + 1) * ctx.batch]


def gather_with_gradient(values: Tensor) -> Tensor:
    """Join the tensors of all processes; the gradient of every process's loss flows back to where a row came from.

    The backward pass sums over processes. Where each process takes the mean over its own rows and
    DistributedDataParallel averages the gradients of parameters, the result is the gradient of the mean over the joint
    batch.

    Args:
        values: (batch, …).

    Returns:
        (processes · batch, …).
    """
    if world_size() == 1:
        return values
    return cast("Tensor", _Gather.apply(values))  # type: ignore[no-untyped-call]  # torch leaves apply untyped


@torch.no_grad()
def sum_over_processes(values: Tensor) -> Tensor:
    """The elementwise sum over processes, without gradient; the argument is left as it is."""
    total = values.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def broadcast_permutation(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """One random order for all processes: rank 0 draws, the others take it over.

    Every process draws, so that the generators stay in step.

    Args:
        count: of elements.
        generator: on the CPU.
        device: where the order is wanted; with nccl a CUDA device.

    Returns:
        (count,) int64.
    """
    order = torch.randperm(count, generator=generator).to(device)
    if world_size() > 1:
        dist.broadcast(order, src=0)
    return order
