"""SwAV: predict the cluster code of one crop from another (Caron et al. 2020), by modality (seed 001, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretraining.objectives.distributed import world_size
from pretraining.objectives.heads import ProjectionHead, mlp_head
from pretraining.objectives.objective import Objective, ObjectiveOutput, check_crops, encode, require_finite
from pretraining.objectives.precision import at_least_float32, outside_autocast, unit_vectors
from pretraining.objectives.prototypes import Prototypes
from pretraining.objectives.queues import FeatureQueues
from pretraining.objectives.sinkhorn import sinkhorn


class SwAV(Objective):
    """Swapped prediction over multi-crop views (seed 001, Eq. 1) with codes shared out per modality (Eq. 4).

    Loss: mean over the assigned crops i of 1/(V−1) Σ_{v≠i} −mean Σ q_i · log softmax(z_v C/τ). With several modalities
    codes, prototypes and queues are per modality; the mean runs over all samples of the batch. A process whose batch
    lacks a modality still joins its sums. A modality that no process has is left out of that step.

    Queues keep features and are scored with the current prototypes; a queue is used only once it is full.

    Args:
        encoder: (batch, 1, *spatial) → (batch, features).
        features: of the encoder.
        head: the projection; features → 2048 → BN → ReLU → 128 (SwAV's reference) where None.
        prototypes: number K; of each modality when the sets are disjoint.
        modalities: number M of groups; ``forward`` needs ``groups`` where it is more than 1.
        prototype_sets: ``disjoint``, ``shared``, or a bool mask (M, K) of one set. The paper leaves it open.
        temperature, epsilon, sinkhorn_iterations: τ, ε and rounds (seed 001, Table 1).
        assigned_crops: indices of the crops whose codes are predicted.
        queue_length: rows of each queue over all processes; 0 for none.
        queue_start_epoch: the queues begin to fill at this epoch (from 0).
        freeze_prototypes: optimiser steps during which the prototypes' gradients are dropped.
        stack_crops: crops of one shape in one forward pass.
        seed: of the prototypes' first directions; the same on every process.

    Raises:
        ValueError: a setting that cannot work, such as fewer than 2 prototypes.
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        *,
        head: ProjectionHead | None = None,
        prototypes: int = 3000,
        modalities: int = 1,
        prototype_sets: str | Tensor = "disjoint",
        temperature: float = 0.1,
        epsilon: float = 0.03,
        sinkhorn_iterations: int = 3,
        assigned_crops: Sequence[int] = (0, 1),
        queue_length: int = 0,
        queue_start_epoch: int = 0,
        freeze_prototypes: int = 0,
        stack_crops: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if temperature <= 0 or epsilon <= 0 or sinkhorn_iterations < 1 or queue_length < 0 or modalities < 1:
            raise ValueError(
                "SwAV needs temperature and epsilon above 0, at least 1 Sinkhorn iteration and modality, and "
                "a queue_length of 0 or more, not "
                f"{temperature}, {epsilon}, {sinkhorn_iterations}, {modalities} and {queue_length}"
            )
        if not assigned_crops or len(set(assigned_crops)) != len(assigned_crops) or min(assigned_crops) < 0:
            raise ValueError(f"SwAV's assigned_crops must be different indices from 0, not {tuple(assigned_crops)}")
        self.encoder = encoder
        self.head = mlp_head(features, 2048, batch_norm=True) if head is None else head
        self.prototypes = Prototypes(prototypes, self.head.dimension, modalities, prototype_sets, seed)
        self.queues = FeatureQueues(len(assigned_crops), modalities, queue_length, self.head.dimension)
        self.modalities = modalities
        self.temperature = temperature
        self.epsilon = epsilon
        self.sinkhorn_iterations = sinkhorn_iterations
        self.assigned_crops = tuple(assigned_crops)
        self.queue_start_epoch = queue_start_epoch
        self.freeze_prototypes = freeze_prototypes
        self.stack_crops = stack_crops
        self.start_epoch(0)

    def forward(
        self,
        crops: Sequence[Tensor],
        groups: Tensor | None = None,
        labels: Mapping[str, Tensor] | None = None,  # noqa: ARG002 - self-supervised
    ) -> ObjectiveOutput:
        """See ``Objective.forward``; takes any number of crops of any sizes, at least two."""
        batch = check_crops("SwAV", crops)
        if max(self.assigned_crops) >= len(crops):
            raise ValueError(f"SwAV assigns codes to the crops {self.assigned_crops}, but there are only {len(crops)}")
        of_group = self._groups(groups, batch, crops[0].device)
        if self.training:
            self.prototypes.normalise()
        features, projected = self._project(crops)
        with outside_autocast(crops[0].device):
            embeddings = torch.stack([unit_vectors(each) for each in projected])
            total, usage = self._swapped_prediction(embeddings, of_group)
            loss = require_finite("SwAV", total / batch)
        if self.training:
            self.queues.push(embeddings.detach()[list(self.assigned_crops)], of_group)
        parts = {"self_supervised": loss.detach(), "prototype_entropy": usage}
        return ObjectiveOutput(loss, embeddings[0].detach(), parts, features[0])

    def _groups(self, groups: Tensor | None, batch: int, device: torch.device) -> Tensor:
        """(batch,) int64 on the device; all zero where there is one modality."""
        if self.modalities == 1:
            return torch.zeros(batch, dtype=torch.int64, device=device)
        if batch * world_size() < self.modalities:
            raise ValueError(
                f"SwAV's joint batch of {batch * world_size()} images is smaller than the number of modalities, "
                f"{self.modalities}; enlarge the batch to a multiple of it"
            )
        if groups is None or groups.shape != (batch,):
            found = "none" if groups is None else f"shape {tuple(groups.shape)}"
            raise ValueError(f"SwAV with {self.modalities} modalities needs groups of shape ({batch},), found {found}")
        if int(groups.min()) < 0 or int(groups.max()) >= self.modalities:
            raise ValueError(
                f"SwAV knows the modalities 0 to {self.modalities - 1}, the batch has {sorted(set(groups.tolist()))}; "
                "set modalities to the number of the store's groups"
            )
        return groups.to(device)

    def _project(self, crops: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The encoder's features and the head's output for every crop."""
        features = encode(self.encoder, crops, stack=self.stack_crops)
        if self.stack_crops:
            return features, list(self.head(torch.cat(features)).chunk(len(features)))
        return features, [self.head(each) for each in features]

    def _swapped_prediction(self, embeddings: Tensor, of_group: Tensor) -> tuple[Tensor, Tensor]:
        """The loss summed over this process's samples, and the entropy of how codes use the prototypes.

        Args:
            embeddings: (crops, batch, dimension), unit vectors.
            of_group: (batch,) int64.
        """
        total = embeddings.new_zeros(())
        entropy = embeddings.new_zeros(())
        in_use = self.queues.full_groups()
        for group in range(self.modalities):
            rows = embeddings if self.modalities == 1 else embeddings[:, of_group == group]
            vectors = at_least_float32(self.prototypes.of(group)).to(embeddings.dtype)
            scores = rows @ vectors.T
            codes = self._codes(scores.detach(), vectors.detach(), group, queued=in_use[group])
            logs = functional.log_softmax(scores / self.temperature, dim=2)
            # Σ_i Σ_{v≠i} q_i·log p_v, with one product for all crops v and the term v = i taken out again.
            everyone = logs.sum(dim=0)
            for position, crop in enumerate(self.assigned_crops):
                total = total - (codes[position] * (everyone - logs[crop])).sum()
            entropy = entropy + _usage_entropy(codes) * rows.shape[1] / len(of_group)
        return total / (len(self.assigned_crops) * (len(embeddings) - 1)), entropy

    @torch.no_grad()
    def _codes(self, scores: Tensor, vectors: Tensor, group: int, *, queued: bool) -> Tensor:
        """(assigned crops, samples, prototypes): each crop shared out on its own, with its queue in front when full."""
        codes = []
        for position, crop in enumerate(self.assigned_crops):
            samples = scores[crop]
            if queued:
                earlier = self.queues.stripe(position, group).to(vectors.dtype) @ vectors.T
                samples = torch.cat([earlier, samples])
            shared_out = sinkhorn(samples, self.epsilon, self.sinkhorn_iterations)
            codes.append(shared_out[len(samples) - scores.shape[1] :])
        return torch.stack(codes)

    def start_epoch(self, epoch: int) -> None:
        """Let the queues begin at their epoch (seed 001, Table 1: "Epoch queue starts")."""
        self.queues.running.fill_(epoch >= self.queue_start_epoch)

    def before_optimizer_step(self, step: int) -> None:
        """Drop the prototypes' gradients while they are frozen (seed 001, Table 1: "Freeze prototypes")."""
        if step < self.freeze_prototypes:
            self.prototypes.vectors.grad = None

    @property
    def collapse_value(self) -> float | None:
        """The loss ln K, where predictions are the same for every image; None where modalities differ in K."""
        return self.prototypes.collapse_value


def _usage_entropy(codes: Tensor) -> Tensor:
    """Entropy in nats of the mean code of this process's samples; 0 without samples."""
    usage = codes.mean(dim=(0, 1)) if codes.shape[1] else codes.new_zeros(codes.shape[2])
    entropy: Tensor = torch.special.entr(usage).sum()
    return entropy
