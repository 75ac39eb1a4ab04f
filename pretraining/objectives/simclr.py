"""SimCLR: two views of an image attract, all other images of the batch repel (Chen et al. 2020; seeds 000 and 002)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pretraining.objectives.distributed import world_size
from pretraining.objectives.heads import ProjectionHead, mlp_head
from pretraining.objectives.ntxent import nt_xent
from pretraining.objectives.objective import Objective, ObjectiveOutput, check_crops, encode, require_finite
from pretraining.objectives.precision import unit_vectors


class SimCLR(Objective):
    """NT-Xent over two crops, with the batches of all processes as one.

    Args:
        encoder: (batch, 1, *spatial) → (batch, features).
        features: of the encoder.
        head: the projection; features → features → BN → ReLU → 128 (seed 002) where None. Seed 000: ``linear_head``.
        temperature: of the softmax.
        stack_crops: both views in one forward pass. Batch normalisation then mixes the statistics of the two views,
            which lets positives recognise each other on small batches; off by default.
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        *,
        head: ProjectionHead | None = None,
        temperature: float = 0.5,
        stack_crops: bool = False,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"SimCLR's temperature must be above 0, not {temperature}")
        self.encoder = encoder
        self.head = mlp_head(features, batch_norm=True) if head is None else head
        self.temperature = temperature
        self.stack_crops = stack_crops
        self._joint_batch: int | None = None

    def forward(
        self,
        crops: Sequence[Tensor],
        groups: Tensor | None = None,  # noqa: ARG002 - modalities share one softmax
        labels: Mapping[str, Tensor] | None = None,  # noqa: ARG002 - self-supervised
    ) -> ObjectiveOutput:
        """See ``Objective.forward``; takes exactly two crops and a joint batch of at least two images."""
        batch = check_crops("SimCLR", crops, count=2)
        self._joint_batch = batch * world_size()
        if self._joint_batch < 2:
            raise ValueError("SimCLR needs at least 2 images in a batch: one image has no negatives")
        features = encode(self.encoder, crops, stack=self.stack_crops)
        projected = [self.head(each) for each in features]
        contrast = nt_xent(projected[0], projected[1], self.temperature)
        loss = require_finite("SimCLR", contrast.loss)
        logits, positives = contrast.logits.detach(), contrast.positives
        parts = {
            "self_supervised": loss.detach(),
            "positive_similarity": logits.gather(1, positives[:, None]).mean() * self.temperature,
            "positive_ranked_first": (logits.argmax(1) == positives).float().mean(),
        }
        return ObjectiveOutput(loss, unit_vectors(projected[0].detach()), parts, features[0])

    @property
    def collapse_value(self) -> float | None:
        """The loss ln(2N−1) of the last joint batch of N images."""
        return None if self._joint_batch is None else math.log(2 * self._joint_batch - 1)
