"""Optimisers and learning rates of the papers.

LARC is layer-wise adaptive rate control as SwAV uses it (NVIDIA apex' `LARC` with `clip=False`, trust coefficient
0.001) around SGD with momentum. Learning rates are pure functions of the step: resuming needs nothing but the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bundles.common.strict import nearest

TRUST = 0.001
NAMES = ("sgd", "larc", "adamw")


class Larc(Optimizer):
    """SGD with momentum whose gradients are rescaled layer by layer (You et al. 2017; SwAV, Caron et al. 2020).

    For every parameter tensor w with gradient g:
    g ← (g + wd·w) · trust·‖w‖ / (‖g‖ + wd·‖w‖ + ε); v ← momentum·v + g; w ← w − lr·v. The first v is g, as in
    `torch.optim.SGD`. There is no clipping: the rate may also grow. As in apex, a tensor whose norm or whose gradient's
    norm is zero keeps its plain gradient, without weight decay.

    Args:
        params: Tensors or groups, as for every optimiser of torch; a group may have its own `lr`, `momentum`,
            `weight_decay` and `trust`.
        lr: Learning rate; large (0.6 in seed 001), because `trust` scales it down.
        momentum: Of v.
        weight_decay: wd; its share is rescaled with the gradient.
        trust: η of the paper.
        epsilon: Against division by zero.

    Raises:
        ValueError: A value is negative.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = TRUST,
        epsilon: float = 1e-8,
    ) -> None:
        values = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "epsilon": epsilon}
        for name, value in values.items():
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        super().__init__(params, values)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; `closure` recomputes the loss, as for every optimiser of torch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        if not params:
            return
        gradients = layerwise([param.grad for param in params], params, group)
        velocities = [self.state[param].get("momentum_buffer") for param in params]
        for param, gradient, velocity in zip(params, gradients, velocities, strict=True):
            if velocity is None:
                self.state[param]["momentum_buffer"] = gradient
            else:
                velocity.mul_(group["momentum"]).add_(gradient)
        steps = [self.state[param]["momentum_buffer"] for param in params]
        # One launch for all tensors, as torch's own optimisers do it.
        torch._foreach_add_(params, steps, alpha=-group["lr"])


def layerwise(gradients: list[Tensor], params: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
    """Rescaled gradients, one new tensor for each parameter tensor; see `Larc` for the formula."""
    decay, trust, epsilon = group["weight_decay"], group["trust"], group["epsilon"]
    # One launch for all tensors: the underscored functions are those that torch.optim itself is made of.
    weight_norms = torch.stack(torch._foreach_norm(params))  # noqa: SLF001
    gradient_norms = torch.stack(torch._foreach_norm(gradients))  # noqa: SLF001
    ratio = trust * weight_norms / (gradient_norms + decay * weight_norms + epsilon)
    plain = (weight_norms == 0) | (gradient_norms == 0)
    ratio = torch.where(plain, torch.ones_like(ratio), ratio)
    share = torch.where(plain, torch.zeros_like(ratio), ratio * decay)
    rescaled = torch._foreach_mul(gradients, list(ratio.unbind()))  # noqa: SLF001
    torch._foreach_add_(rescaled, torch._foreach_mul(params, list(share.unbind())))  # noqa: SLF001
    return list(rescaled)


def parameter_groups(module: nn.Module, weight_decay: float, *, decay_vectors: bool = True) -> list[dict[str, Any]]:
    """Groups for an optimiser.

    Args:
        module: Whose parameters are trained; frozen ones are left out.
        weight_decay: Of matrices and kernels.
        decay_vectors: Decay biases and the weights of norms as well, as SwAV and MoCo do. False exempts them
            (SimCLR's and most AdamW recipes): all tensors of fewer than two axes.
    """
    trained = [param for param in module.parameters() if param.requires_grad]
    if decay_vectors:
        return [{"params": trained, "weight_decay": weight_decay}]
    groups = [
        {"params": [param for param in trained if param.ndim > 1], "weight_decay": weight_decay},
        {"params": [param for param in trained if param.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    name: Literal["sgd", "larc", "adamw"] | str,
    module: nn.Module,
    lr: float,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    decay_vectors: bool = True,
) -> Optimizer:
    """An optimiser by name: "sgd" (with momentum), "larc", "adamw" (β₁ = `momentum`, β₂ = 0.999).

    Raises:
        ValueError: No such optimiser, or nothing to train.
    """
    groups = parameter_groups(module, weight_decay, decay_vectors=decay_vectors)
    if not any(group["params"] for group in groups):
        raise ValueError(f"{type(module).__name__} has no parameter to train; are all of them frozen?")
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)
    if name == "larc":
        return Larc(groups, lr=lr, momentum=momentum)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.999))
    raise ValueError(f"no optimiser is called '{name}'{nearest(name, list(NAMES))}")


@dataclass(frozen=True, slots=True)
class Constant:
    """The same learning rate at every step."""

    base: float

    def __call__(self, step: int) -> float:
        """Learning rate of step 0, 1, ….

        Raises:
            ValueError: The step is negative.
        """
        _check_step(step)
        return self.base


@dataclass(frozen=True, slots=True)
class WarmUpCosine:
    """A linear rise, then half a cosine: final + ½·(base − final)·(1 + cos(π·t/T)), t and T counted after the rise.

    Step `warm_up` has exactly `base`; step `total` and all later ones have exactly `final`.

    Attributes:
        base: Highest learning rate.
        total: Steps of the whole training, the rise included.
        warm_up: Steps of the rise; 0 for none.
        final: Learning rate at the end: absolute, no factor of `base`.
        start: Learning rate of step 0 if there is a rise: absolute as well.

    Raises:
        ValueError: `total` does not exceed `warm_up`, or something is negative.
    """

    base: float
    total: int
    warm_up: int = 0
    final: float = 0.0
    start: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warm_up < self.total:
            raise ValueError(
                f"the warm-up has {self.warm_up} steps and the training {self.total}: expected 0 or more, and fewer "
                "than the training; give a shorter warm-up (warm_up_epochs) or more epochs"
            )
        if min(self.base, self.final, self.start) < 0:
            raise ValueError(f"learning rates must not be negative, got {self}")

    def __call__(self, step: int) -> float:
        """Learning rate of step 0, 1, ….

        Raises:
            ValueError: The step is negative.
        """
        _check_step(step)
        if step < self.warm_up:
            return self.start + (self.base - self.start) * step / self.warm_up
        if step >= self.total:
            return self.final
        done = (step - self.warm_up) / (self.total - self.warm_up)
        return self.final + 0.5 * (self.base - self.final) * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, slots=True)
class Steps:
    """A constant learning rate that is multiplied by `factor` at each milestone.

    Attributes:
        base: First learning rate.
        milestones: Steps, rising; the step of a milestone already has the new rate.
        factor: 0.1 in MoCo v1.

    Raises:
        ValueError: The milestones do not rise.
    """

    base: float
    milestones: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        if any(later <= earlier for earlier, later in zip(self.milestones, self.milestones[1:], strict=False)):
            raise ValueError(f"milestones must rise, got {self.milestones}")

    def __call__(self, step: int) -> float:
        """Learning rate of step 0, 1, ….

        Raises:
            ValueError: The step is negative.
        """
        _check_step(step)
        return self.base * self.factor ** sum(step >= milestone for milestone in self.milestones)


Schedule = Constant | WarmUpCosine | Steps


def set_learning_rate(optimizer: Optimizer, schedule: Schedule, step: int) -> float:
    """Give every group the learning rate of a step, before that step is made; returns it."""
    rate = schedule(step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _check_step(step: int) -> None:
    if step < 0:
        raise ValueError(f"steps count from 0, got {step}")
