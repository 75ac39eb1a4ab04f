"""Mixed precision on a CPU with convolutions whose weight gradients can be trusted.

The CPU build of torch 2.13 (oneDNN) leaves parts of the weight gradient unwritten for some shapes in bfloat16: a 3×3
kernel of stride 2 on a 1×1 map, 3×3×3 kernels with few output channels on maps of a few voxels. What stands there is
whatever the memory held before: mostly small numbers, sometimes NaN. Which shapes depends on the processor, so none is
listed here: each convolution is tried once for each shape that it meets, and computes in float32 where that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
import torch
from torch import Tensor, nn
from torch.func import functional_call

TRIALS = 3
TOLERANCE = 0.05
log = structlog.get_logger()
Forward = Callable[[Tensor], Tensor]
Verdicts = dict[tuple[tuple[int, ...], torch.dtype], bool]


def make_convolutions_careful(module: nn.Module) -> None:
    """From now on the module's convolutions check their weight gradient once a shape, where they run in half precision.

    Nothing happens in float32, without gradients, and on other devices than the CPU. The first pass of a new shape
    costs four more backward passes of the layer. Parameters, buffers and torch's random generator stay as they are; a
    layer that is careful already stays as it is.

    Args:
        module: Its `nn.Conv2d` and `nn.Conv3d`, at any depth, are changed in place.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and not _is_careful(layer):
            verdicts: Verdicts = {}
            layer.forward = partial(_forward, layer, layer.forward, verdicts)  # type: ignore[method-assign]


def _is_careful(layer: nn.Module) -> bool:
    return isinstance(layer.forward, partial) and layer.forward.func is _forward


def _forward(layer: nn.Conv2d | nn.Conv3d, plain: Forward, verdicts: Verdicts, x: Tensor) -> Tensor:
    trained = torch.is_grad_enabled() and layer.weight.requires_grad
    if not trained or x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return plain(x)
    kind = torch.get_autocast_dtype("cpu")
    key = (tuple(x.shape), kind)
    if key not in verdicts:
        verdicts[key] = gradient_is_right(layer, x, kind)
        if not verdicts[key]:
            log.info("convolution_in_float32", input=list(x.shape), kernel=list(layer.weight.shape), wrong_in=str(kind))
    if verdicts[key]:
        return plain(x)
    with torch.autocast("cpu", enabled=False):
        return plain(x.float())


def gradient_is_right(layer: nn.Conv2d | nn.Conv3d, like: Tensor, kind: torch.dtype) -> bool:
    """Whether the weight gradient in half precision is that of float32 but for rounding, whatever freed memory holds.

    Args:
        layer: A convolution on the CPU.
        like: Input of the shape and memory layout in question, (batch, channels, *spatial); its values do not matter.
        kind: torch.bfloat16 or torch.float16.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.empty_like(like, dtype=torch.float32)
    x.copy_(torch.randn(like.shape, generator=generator))
    expected = _weight_gradient(layer, x, torch.float32)
    for _ in range(TRIALS):
        _fill_freed_memory(expected.numel())
        found = _weight_gradient(layer, x, kind)
        # Not "above the tolerance": NaN must fail too.
        if not float((found - expected).norm()) <= TOLERANCE * float(expected.norm()):
            return False
    return True


def _weight_gradient(layer: nn.Conv2d | nn.Conv3d, x: Tensor, kind: torch.dtype) -> Tensor:
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        parameters = {name: value.detach().to(kind) for name, value in layer.named_parameters(recurse=False)}
        weight = parameters["weight"].requires_grad_()
        made = functional_call(layer, parameters, (x.to(kind),))
        direction = torch.randn(made.shape, generator=torch.Generator().manual_seed(1)).to(kind)
        (gradient,) = torch.autograd.grad(made, weight, direction)
    return gradient.float()


def _fill_freed_memory(numbers: int) -> None:
    """Leave NaN where the next tensors of such sizes are likely to be laid."""
    sizes = {numbers, numbers // 2 + 1, *(1 << power for power in range(10, 22))}
    for _ in range(2):
        held = [
            torch.full((size,), float("nan"), dtype=kind) for size in sizes for kind in (torch.float32, torch.bfloat16)
        ]
        del held
