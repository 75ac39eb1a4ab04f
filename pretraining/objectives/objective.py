"""What every objective takes and gives, and how its hooks are called by the trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ObjectiveOutput:
    """One step's result on this process.

    Attributes:
        loss: scalar, the mean over this process's samples; averaged over processes it is the loss of the joint batch.
        embeddings: (batch, dimension), of the first crop, detached, of length 1.
        parts: named detached scalars for logs. ``self_supervised`` is the one to hold against ``collapse_value``.
        features: (batch, features), the encoder's output for the first crop, with gradient; hybrid training hangs its
            heads there.
    """

    loss: Tensor
    embeddings: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    features: Tensor | None = None


class Objective(nn.Module, ABC):
    """A loss with the networks and the memory it needs.

    Everything that matters on resume is in ``state_dict()``. Under DistributedDataParallel the whole objective is
    wrapped; every process needs the same batch size. In ``eval()`` nothing is remembered (no queue grows).

    Attributes:
        encoder: what is exported; ``encoder(x)`` gives (batch, features).
    """

    encoder: nn.Module

    @abstractmethod
    def forward(
        self, crops: Sequence[Tensor], groups: Tensor | None = None, labels: Mapping[str, Tensor] | None = None
    ) -> ObjectiveOutput:
        """Compare the crops of one batch.

        Args:
            crops: each (batch, 1, *spatial), float; sample i is the same image in all of them.
            groups: (batch,) int64, index of the sample's modality.
            labels: name to (batch, …) float32, NaN where unknown.

        Raises:
            ValueError: the batch does not fit the objective.
            FloatingPointError: the loss is not finite.
        """

    @property
    @abstractmethod
    def collapse_value(self) -> float | None:
        """The loss of a network that gives every image the same embedding; None where the batch is not known yet."""

    def start_epoch(self, epoch: int) -> None:
        """Tell the objective that this epoch (from 0) begins. Call it again on resume."""

    def before_optimizer_step(self, step: int) -> None:
        """Called after the backward pass, before the optimiser's step number ``step`` (from 0)."""

    def after_optimizer_step(self, step: int) -> None:
        """Called after the optimiser's step number ``step``, before anything is saved."""


def check_crops(objective: str, crops: Sequence[Tensor], count: int | None = None) -> int:
    """The batch size, once the crops are known to fit each other.

    Args:
        objective: name for the error.
        crops: each (batch, channels, *spatial), 2-D or 3-D.
        count: how many crops the objective compares; at least two where None.

    Raises:
        ValueError: another number of crops, an empty batch, or crops of different batches.
    """
    if len(crops) < 2 or (count is not None and len(crops) != count):
        wanted = "at least 2" if count is None else f"exactly {count}"
        raise ValueError(
            f"{objective} compares {wanted} crops of an image, not {len(crops)}; change the crop list of the views"
        )
    for crop in crops:
        if crop.ndim not in {4, 5}:
            raise ValueError(
                f"{objective} takes crops of shape (batch, 1, rows, columns) or (batch, 1, depth, rows, columns), "
                f"not {tuple(crop.shape)}"
            )
    sizes = {len(crop) for crop in crops}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"{objective} needs the same images in every crop, at least one; the crops hold {sorted(sizes)}"
        )
    return len(crops[0])


def require_finite(objective: str, loss: Tensor) -> Tensor:
    """The loss itself. Call it before queues or other memory change, so that a checkpoint stays clean.

    Raises:
        FloatingPointError: NaN or infinity.
    """
    if not bool(torch.isfinite(loss)):
        raise FloatingPointError(
            f"{objective}: the loss is {loss.item()}. Look for NaN in the images, lower the learning rate, or train in "
            "bf16 instead of fp16; then resume from the last checkpoint"
        )
    return loss


def encode(encoder: nn.Module, crops: Sequence[Tensor], *, stack: bool) -> list[Tensor]:
    """Features of every crop.

    Args:
        encoder: (batch, 1, *spatial) → (batch, features).
        crops: each (batch, 1, *spatial).
        stack: send crops of one full shape (all of it: 3-D crops may share their last side only) through the network
            together. Faster; batch normalisation then sees them as one batch.

    Returns:
        (batch, features) for each crop, in the order of the crops.
    """
    if not stack:
        return [encoder(crop) for crop in crops]
    members: dict[tuple[int, ...], list[int]] = {}
    for index, crop in enumerate(crops):
        members.setdefault(tuple(crop.shape), []).append(index)
    features: dict[int, Tensor] = {}
    for indices in members.values():
        joint = encoder(torch.cat([crops[index] for index in indices]))
        features.update(zip(indices, joint.chunk(len(indices)), strict=True))
    return [features[index] for index in range(len(crops))]
