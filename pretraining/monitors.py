"""Whether a training learns, in figures and in words.

A collapsed network gives every image the same embedding; the loss then sits at a value known in advance (ln(2N−1) for
SimCLR with batch N, ln(K+1) for MoCo with queue K, ln K for SwAV with K prototypes), the embeddings do not spread, and
one prototype takes all images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PATIENCE = 200
TOLERANCE = 0.01
LOW_SPREAD = 0.1
LOW_RANK = 2.0
LOW_USAGE = 0.3
HIGH_WAIT = 0.1


@dataclass(frozen=True, slots=True)
class Health:
    """How a batch of embeddings spreads.

    Attributes:
        spread: Mean standard deviation per dimension, times √dimensions: 1 when the unit vectors are spread evenly over
            the sphere, 0 when they are all the same.
        effective_rank: Of the centred embeddings; see `effective_rank`.
        dimensions: Length of an embedding, the highest possible rank.
        samples: Embeddings seen; a rank is also below this number.
        usage: See `usage_entropy`; None without prototypes.
    """

    spread: float
    effective_rank: float
    dimensions: int
    samples: int
    usage: float | None = None


def embedding_std(embeddings: Tensor) -> Tensor:
    """Standard deviation of each dimension over the batch (SimSiam, Chen and He 2021, Figure 2).

    Args:
        embeddings: (batch, dimensions) of length 1, at least two.

    Returns:
        (dimensions,) float64; all near 1/√dimensions when evenly spread, 0 after a collapse.

    Raises:
        ValueError: Fewer than two embeddings.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"a spread needs embeddings of shape (2 or more, dimensions), got {tuple(embeddings.shape)}")
    return embeddings.detach().double().std(dim=0, unbiased=False)


def effective_rank(embeddings: Tensor) -> float:
    """Exponential of the entropy of the singular values' shares (Roy and Vetterli 2007) of the centred embeddings.

    Args:
        embeddings: (batch, dimensions).

    Returns:
        1 when all differences lie along one line, up to min(batch − 1, dimensions); 0 when there are none.
    """
    centred = embeddings.detach().double()
    scale = float(centred.abs().max())
    centred = centred - centred.mean(dim=0)
    values = torch.linalg.svdvals(centred)
    # Rounding of a constant is no direction.
    if float(values.max()) <= 1e-12 * scale * math.sqrt(centred.numel()):
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def usage_entropy(assignments: Tensor) -> float:
    """How evenly prototypes are used: the entropy of the mean assignment over ln K (K prototypes).

    Args:
        assignments: (batch, prototypes), each row a distribution: softmax of the scores, or codes. Sinkhorn's codes are
            even by construction, so take the softmax to see a collapse.

    Returns:
        1 when all are used alike, 0 when one takes everything.

    Raises:
        ValueError: Fewer than two prototypes, or a row that is no distribution.
    """
    rows = assignments.detach().double()
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise ValueError(f"usage needs assignments of shape (batch, 2 or more), got {tuple(rows.shape)}")
    if bool((rows < 0).any()) or not torch.allclose(rows.sum(dim=1), rows.new_ones(len(rows)), atol=1e-2):
        raise ValueError("usage needs rows that are 0 or more and sum to 1; apply a softmax to the scores")
    mean = rows.mean(dim=0)
    return float(torch.special.entr(mean / mean.sum()).sum()) / math.log(rows.shape[1])


def health(embeddings: Tensor, assignments: Tensor | None = None) -> Health:
    """All figures of one batch.

    Args:
        embeddings: (batch, dimensions), of length 1.
        assignments: (batch, prototypes); see `usage_entropy`.

    Raises:
        ValueError: Fewer than two embeddings, or assignments that are no distributions.
    """
    return Health(
        spread=float(embedding_std(embeddings).mean()) * math.sqrt(embeddings.shape[1]),
        effective_rank=effective_rank(embeddings),
        dimensions=embeddings.shape[1],
        samples=len(embeddings),
        usage=None if assignments is None else usage_entropy(assignments),
    )


def steps_at(losses: Sequence[float], value: float, tolerance: float = TOLERANCE) -> int:
    """For how many of the last steps the loss has been within `tolerance` (relative) of a value."""
    count = 0
    for loss in reversed(losses):
        if not abs(loss - value) <= tolerance * abs(value):
            break
        count += 1
    return count


def name_of_collapse(value: float) -> str:
    """`ln(63)`: the value as the logarithm of the whole number that it is, or the bare figure."""
    if value > math.log(1e9):
        return ""
    number = round(math.exp(value))
    return f"ln({number})" if number >= 2 and math.isclose(math.log(number), value, rel_tol=1e-6) else ""


def diagnose(
    losses: Sequence[float],
    collapse_value: float | None,
    state: Health | None = None,
    *,
    collapse_name: str = "",
    data_wait: float | None = None,
    patience: int = PATIENCE,
) -> tuple[str, ...]:
    """What is wrong, each problem in one sentence that says what to do; empty when nothing is.

    Args:
        losses: Of the last steps, oldest first; the part that `collapse_value` belongs to, not the hybrid sum.
        collapse_value: The loss of a collapsed network; None if the objective has none.
        state: Spread of recent embeddings.
        collapse_name: How the objective writes its value, such as "ln(2N−1)".
        data_wait: Share of the time that steps waited for data, 0 to 1.
        patience: Steps at the collapse value before it is called a collapse: every training starts near it.
    """
    found = [_not_finite(losses), _sitting(losses, collapse_value, collapse_name, patience)]
    if state is not None:
        found += [_spread(state), _rank(state), _usage(state)]
    found.append(_waiting(data_wait))
    return tuple(sentence for sentence in found if sentence)


def _not_finite(losses: Sequence[float]) -> str:
    if not losses or math.isfinite(losses[-1]):
        return ""
    return (
        f"the loss is {losses[-1]}: lower the learning rate, lengthen the warm-up, or train in bfloat16 or float32 "
        "instead of float16; then go on from the last checkpoint"
    )


def _sitting(losses: Sequence[float], value: float | None, name: str, patience: int) -> str:
    if value is None:
        return ""
    steps = steps_at(losses, value)
    if steps < patience:
        return ""
    called = name or name_of_collapse(value)
    shown = f"{called} = {value:.2f}" if called else f"{value:.2f}"
    return (
        f"the loss has sat at {shown} for {steps} steps: the network gives every image the same embedding; lower the "
        "learning rate, lengthen the warm-up, or look at the page of example views (are all crops alike, or black?)"
    )


def _spread(state: Health) -> str:
    if state.spread >= LOW_SPREAD:
        return ""
    return (
        f"the embeddings hardly differ (spread {state.spread:.3f}, 1 is even): collapse; lower the learning rate or "
        "check that the images of a batch differ"
    )


def _rank(state: Health) -> str:
    if state.effective_rank >= LOW_RANK or min(state.samples - 1, state.dimensions) < 4 * LOW_RANK:
        return ""
    return (
        f"the embeddings use {state.effective_rank:.1f} of {state.dimensions} dimensions: the network has found a "
        "shortcut (brightness, border, a burnt-in mark); strengthen the intensity augmentation or crop more border"
    )


def _usage(state: Health) -> str:
    if state.usage is None or state.usage >= LOW_USAGE:
        return ""
    return (
        f"few prototypes take most images (usage {state.usage:.2f}, 1 is even): take fewer prototypes, freeze them for "
        "longer, or lower Sinkhorn's ε"
    )


def _waiting(share: float | None) -> str:
    if share is None or share <= HIGH_WAIT:
        return ""
    return (
        f"{share:.0%} of the time the steps wait for data: use more workers, or decode the archive once with "
        "python -m pretraining shard"
    )
