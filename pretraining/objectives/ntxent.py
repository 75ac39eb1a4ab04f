"""NT-Xent, normalised temperature-scaled cross entropy (Chen et al. 2020, Eq. 1; seed 000; seed 002, Eq. 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pretraining.objectives.distributed import gather_with_gradient, rank, world_size
from pretraining.objectives.precision import outside_autocast, unit_vectors


class Contrast(NamedTuple):
    """A loss and what it was made of.

    Attributes:
        loss: scalar, the mean over this process's 2·batch rows.
        logits: (2·batch, 2·N) cosine similarity over temperature, −∞ where a row meets itself; N = processes · batch.
        positives: (2·batch,) int64, the column of each row's other view.
    """

    loss: Tensor
    logits: Tensor
    positives: Tensor


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Contrast:
    """−log of the positive's share of the similarities, mean over the rows of both views.

    The sum in the denominator runs over the other 2N−1 embeddings of the joint batch of all processes. Computed as a
    log-sum-exp in float32 (or float64), whatever comes in. Identical embeddings give ln(2N−1).

    Args:
        first: (batch, dimension), one view of this process's images; normalised here.
        second: (batch, dimension), the other view of the same images.
        temperature: of the softmax.
    """
    with outside_autocast(first.device):
        first, second = unit_vectors(first), unit_vectors(second)
        batch, total = len(first), len(first) * world_size()
        everyone = torch.cat([gather_with_gradient(first), gather_with_gradient(second)])
        here = rank() * batch + torch.arange(batch, device=first.device)
        selves = torch.cat([here, here + total])
        logits = torch.cat([first, second]) @ everyone.T / temperature
        logits = logits.scatter(1, selves[:, None], -torch.inf)
        positives = (selves + total) % (2 * total)
        return Contrast(functional.cross_entropy(logits, positives), logits, positives)
