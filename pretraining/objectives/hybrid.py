"""Self-supervision with labels where there are some (seed 001, section 3.2, Eq. 5–7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pretraining.objectives.objective import Objective, ObjectiveOutput, require_finite
from pretraining.objectives.precision import outside_autocast
from pretraining.objectives.supervised import SupervisedHead

FeatureMaps = Callable[[nn.Module, Tensor], Sequence[Tensor]]


class Hybrid(Objective):
    """L = (1/N) Σ_k α·L_ss(x_k) + 1[k labelled]·β·L_sup(x_k) (Eq. 7), on the first crop.

    The supervised sum is divided by the number of all samples, as Eq. 7 has it: β makes up for few labels. Several
    heads add up. A sample without labels gets exactly zero from the supervised term. (Where the encoder normalises over
    the batch, its image still shifts the others' statistics.)

    Args:
        objective: the self-supervised one; its encoder is this one's.
        heads: by the name of their labels.
        alpha, beta: weights of the two terms.
        feature_maps: (encoder, crop) → maps (batch, channels, *spatial), fine to coarse; for heads with ``uses_maps``,
            which cost a second forward pass of the first crop.

    Raises:
        ValueError: no heads, a head that needs ``feature_maps`` without it, or negative weights.
    """

    def __init__(
        self,
        objective: Objective,
        heads: Mapping[str, SupervisedHead],
        alpha: float = 1.0,
        beta: float = 1.0,
        *,
        feature_maps: FeatureMaps | None = None,
    ) -> None:
        super().__init__()
        dense = [name for name, head in heads.items() if head.uses_maps]
        if not heads or (dense and feature_maps is None) or alpha < 0 or beta < 0:
            raise ValueError(
                "Hybrid needs at least one head, weights of 0 or more, and feature_maps for heads on intermediate "
                f"features; got the heads {sorted(heads)} ({dense} of them on maps), α={alpha}, β={beta}"
            )
        self.objective = objective
        # Past nn.Module's registry: a second name for the same module would double its tensors in the state dict.
        self.__dict__["encoder"] = objective.encoder
        self.heads = nn.ModuleDict(heads)
        self.alpha = alpha
        self.beta = beta
        self.feature_maps = feature_maps

    def forward(
        self, crops: Sequence[Tensor], groups: Tensor | None = None, labels: Mapping[str, Tensor] | None = None
    ) -> ObjectiveOutput:
        """See ``Objective.forward``. ``labels=None`` is a batch without any; else every head must find its name."""
        output = self.objective(crops, groups)
        if output.features is None:
            raise TypeError(f"{type(self.objective).__name__} hands out no features for the heads of Hybrid")
        supervised, parts = self._supervised(output.features, crops[0], labels)
        loss = require_finite("Hybrid", self.alpha * output.loss + self.beta * supervised)
        return ObjectiveOutput(loss, output.embeddings, {**output.parts, **parts}, output.features)

    def _supervised(
        self, features: Tensor, crop: Tensor, labels: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ of the heads' losses over the batch, divided by its size; and the mean over labelled samples for the log.

        Every head runs on every sample, labelled or not, so that all processes use the same parameters.
        """
        maps = self.feature_maps(self.encoder, crop) if self.feature_maps and self._dense() else ()
        total = torch.zeros((), device=features.device)
        parts: dict[str, Tensor] = {}
        for name, module in self.heads.items():
            head = cast("SupervisedHead", module)
            logits = head(maps if head.uses_maps else features)
            with outside_autocast(features.device):
                losses, known = _losses(name, head, logits, labels)
                total = total + losses.sum() / len(features)
            parts[f"supervised/{name}"] = losses.detach().sum() / known.sum().clamp(min=1)
            parts[f"labelled/{name}"] = known.float().mean()
        return total, {"supervised": total.detach(), **parts}

    def _dense(self) -> bool:
        return any(cast("SupervisedHead", head).uses_maps for head in self.heads.values())

    @property
    def collapse_value(self) -> float | None:
        """That of the self-supervised objective; hold ``parts["self_supervised"]`` against it, not the joint loss."""
        return self.objective.collapse_value

    def start_epoch(self, epoch: int) -> None:
        """See ``Objective``."""
        self.objective.start_epoch(epoch)

    def before_optimizer_step(self, step: int) -> None:
        """See ``Objective``."""
        self.objective.before_optimizer_step(step)

    def after_optimizer_step(self, step: int) -> None:
        """See ``Objective``."""
        self.objective.after_optimizer_step(step)


def _losses(
    name: str, head: SupervisedHead, logits: Tensor, labels: Mapping[str, Tensor] | None
) -> tuple[Tensor, Tensor]:
    if labels is None:
        # Zero times the logits: no gradient, yet DistributedDataParallel sees every parameter used.
        return logits.flatten(1).sum(dim=1) * 0.0, torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    if name not in labels:
        raise ValueError(f"Hybrid's head {name!r} found no labels of that name; the batch has {sorted(labels)}")
    return head.sample_losses(logits, labels[name].to(logits.device))
