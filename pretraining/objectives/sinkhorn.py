"""Equipartitioned cluster codes by Sinkhorn–Knopp (Caron et al. 2020, SwAV, Eq. 3–5, Algorithm 1; seed 001, Eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from pretraining.objectives.distributed import gather, world_size
from pretraining.objectives.precision import at_least_float32, outside_autocast


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int = 3) -> Tensor:
    """Share out samples over prototypes: Q = diag(u) exp(scores / ε) diag(v).

    Each iteration first gives every prototype the same total (over the samples of all processes), then every sample.
    The scaling is done on logarithms in float32 (or float64): the maximum is subtracted in each log-sum-exp, so neither
    fp16 networks nor a small ε can overflow, and samples far below the largest score do not underflow to 0/0. The
    result is that of the exponentials (numerics: rows /= row sum · K, columns /= column sum · B, times B at the end).

    Args:
        scores: (samples, prototypes) of this process, cosine similarities. May have no samples: the process still takes
            part in the sums, and every process must call.
        epsilon: weight of the entropy; smaller is harder.
        iterations: at least 1.

    Returns:
        (samples, prototypes), each row sums to 1; no gradient.

    Raises:
        ValueError: ε ≤ 0 or no iteration.
    """
    if epsilon <= 0 or iterations < 1:
        raise ValueError(f"Sinkhorn needs ε above 0 and at least 1 iteration, not ε={epsilon} and {iterations}")
    with outside_autocast(scores.device):
        logarithms = at_least_float32(scores) / epsilon
        for _ in range(iterations):
            logarithms = logarithms - _log_sum_over_samples(logarithms)
            logarithms = logarithms - logarithms.logsumexp(dim=1, keepdim=True)
        return logarithms.exp()


def _log_sum_over_samples(logarithms: Tensor) -> Tensor:
    """(1, prototypes): log of the sum of exponentials over the samples of all processes."""
    own = logarithms.logsumexp(dim=0, keepdim=True)
    return own if world_size() == 1 else gather(own).logsumexp(dim=0, keepdim=True)
