"""MoCo v2: a query finds its key among those of many earlier batches (He et al., Chen et al. 2020; seeds 002, 004)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretraining.objectives.distributed import broadcast_permutation, gather, rank, world_size
from pretraining.objectives.heads import ProjectionHead, mlp_head
from pretraining.objectives.objective import Objective, ObjectiveOutput, check_crops, require_finite
from pretraining.objectives.precision import outside_autocast, unit_vectors


class MoCo(Objective):
    """InfoNCE of crop 0 (query) against crop 1 (key) and a queue of keys (seed 002, Eq. 3.1).

    The key network is a copy of encoder and head that follows them by a moving average of the parameters, made in
    ``after_optimizer_step``: before the next key is computed, and once a step however many batches are accumulated. Its
    batch normalisation has buffers of its own: it normalises with the statistics of the key batch it sees, and
    neither copies nor averages the query's running statistics, as in the paper's reference.

    So that batch normalisation cannot tell which key belongs to which query, keys are computed in another order:
    shuffled over all processes by one permutation, and on one device in ``bn_splits`` parts, each normalised on its own
    (the query in the same number of parts, in order). Outputs are put back into order.

    The queue and its position are buffers; the state of the shuffle's generator is in ``state_dict()`` too.

    Args:
        encoder: (batch, 1, *spatial) → (batch, features).
        features: of the encoder.
        head: the projection; features → features → ReLU → 128 where None.
        queue_length: number K of keys; a multiple of the joint batch.
        momentum: of the moving average.
        temperature: of the softmax.
        bn_splits: parts of a process's batch that are normalised apart; the batch must be a multiple of it.
        seed: of the queue's first content and of the shuffle; the same on every process.
    """

    queue: Tensor
    queue_position: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        *,
        head: ProjectionHead | None = None,
        queue_length: int = 65_536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        bn_splits: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if temperature <= 0 or not 0 <= momentum <= 1 or bn_splits < 1 or queue_length < 1:
            raise ValueError(
                "MoCo needs temperature above 0, momentum from 0 to 1, bn_splits and queue_length of at least 1, not "
                f"{temperature}, {momentum}, {bn_splits} and {queue_length}"
            )
        self.encoder = encoder
        self.head = mlp_head(features) if head is None else head
        self.key_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.key_head = copy.deepcopy(self.head).requires_grad_(False)
        self.momentum = momentum
        self.temperature = temperature
        self.bn_splits = bn_splits
        self._generator = torch.Generator().manual_seed(seed)
        columns = torch.randn(self.head.dimension, queue_length, generator=self._generator)
        self.register_buffer("queue", functional.normalize(columns, dim=0))
        self.register_buffer("queue_position", torch.zeros((), dtype=torch.int64))

    def forward(
        self,
        crops: Sequence[Tensor],
        groups: Tensor | None = None,  # noqa: ARG002 - modalities share one queue
        labels: Mapping[str, Tensor] | None = None,  # noqa: ARG002 - self-supervised
    ) -> ObjectiveOutput:
        """See ``Objective.forward``; takes exactly two crops. The queue is read before the new keys enter it."""
        self._check_batch(check_crops("MoCo", crops, count=2))
        features = torch.cat([self.encoder(part) for part in crops[0].chunk(self.bn_splits)])
        projected = torch.cat([self.head(part) for part in features.chunk(self.bn_splits)])
        keys = self._keys(crops[1])
        with outside_autocast(projected.device):
            queries = unit_vectors(projected)
            logits = info_nce_logits(queries, keys, self.queue, self.temperature)
            targets = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
            loss = require_finite("MoCo", functional.cross_entropy(logits, targets))
        if self.training:
            self._enqueue(keys)
        parts = {
            "self_supervised": loss.detach(),
            "positive_similarity": logits.detach()[:, 0].mean() * self.temperature,
            "positive_ranked_first": (logits.detach().argmax(1) == 0).float().mean(),
        }
        return ObjectiveOutput(loss, queries.detach(), parts, features)

    def _check_batch(self, batch: int) -> None:
        joint, length = batch * world_size(), self.queue.shape[1]
        if length % joint:
            raise ValueError(
                f"MoCo's queue of {length} keys is no multiple of the joint batch of {joint} images; set queue_length "
                f"to {max(1, round(length / joint)) * joint} and drop the last incomplete batch"
            )
        if batch % self.bn_splits or (self.bn_splits > 1 and batch // self.bn_splits < 2):
            raise ValueError(
                f"MoCo cannot normalise a batch of {batch} images in {self.bn_splits} equal parts of at least 2; "
                "change bn_splits or the batch size"
            )

    @torch.no_grad()
    def _keys(self, crop: Tensor) -> Tensor:
        """(batch, dimension) unit vectors of this process's keys, computed in shuffled order."""
        if not self.training:
            return unit_vectors(self.key_head(self.key_encoder(crop)))
        batch = len(crop)
        # Drawn even where no order can matter: the generator's state must not depend on the number of processes.
        order = broadcast_permutation(batch * world_size(), self._generator, crop.device)
        if world_size() == 1 and self.bn_splits == 1:
            return unit_vectors(self.key_head(self.key_encoder(crop)))
        own = slice(rank() * batch, (rank() + 1) * batch)
        shuffled = gather(crop)[order[own]]
        parts = [self.key_head(self.key_encoder(part)) for part in shuffled.chunk(self.bn_splits)]
        return gather(unit_vectors(torch.cat(parts)))[order.argsort()[own]]

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        everyone = gather(keys)
        length = self.queue.shape[1]
        columns = (self.queue_position + torch.arange(len(everyone), device=self.queue.device)) % length
        self.queue.index_copy_(1, columns, everyone.T.to(self.queue.dtype))
        self.queue_position.add_(len(everyone)).remainder_(length)

    @torch.no_grad()
    def after_optimizer_step(self, step: int) -> None:  # noqa: ARG002 - the momentum is constant
        """Move the key network's parameters: m·key + (1−m)·query (He et al. 2020, Eq. 2)."""
        for follower, leader in ((self.key_encoder, self.encoder), (self.key_head, self.head)):
            for key, query in zip(follower.parameters(), leader.parameters(), strict=True):
                key.lerp_(query, 1 - self.momentum)

    @property
    def collapse_value(self) -> float | None:
        """ln(K+1)."""
        return math.log(self.queue.shape[1] + 1)

    def get_extra_state(self) -> Tensor:
        """The state of the shuffle's generator, a uint8 tensor that ``weights_only=True`` loads."""
        return self._generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Take the shuffle's generator up where it was saved."""
        self._generator.set_state(state.cpu())


def info_nce_logits(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Similarities [q·k⁺, q·queue] / T; the positive is column 0 (He et al. 2020, Algorithm 1).

    Args:
        queries: (batch, dimension), unit vectors.
        keys: (batch, dimension), unit vectors; row i is the same image as the query's.
        queue: (dimension, K), unit columns.
        temperature: of the softmax.

    Returns:
        (batch, K + 1).
    """
    positive = (queries * keys).sum(dim=1, keepdim=True)
    # The clone keeps autograd's copy of the queue apart from the one that the new keys overwrite.
    negative = queries @ queue.detach().to(queries.dtype).clone()
    return torch.cat([positive, negative], dim=1) / temperature
