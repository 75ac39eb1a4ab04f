"""The papers' formulas as slow loops: what the fast losses are held against. float64, plain exponentials, no tricks."""

from math import exp, log

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cosine(first: Array, second: Array) -> float:
    """Similarity of two vectors (seed 000, "SimCLR projection head")."""
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def nt_xent(first: Array, second: Array, temperature: float) -> float:
    """SimCLR, Eq. 1 and Algorithm 1: views 2k and 2k−1 are a pair; the mean over all 2N rows."""
    rows = [row for pair in zip(first, second, strict=True) for row in pair]
    losses = []
    for i, row in enumerate(rows):
        partner = i + 1 if i % 2 == 0 else i - 1
        denominator = sum(exp(cosine(row, other) / temperature) for k, other in enumerate(rows) if k != i)
        losses.append(-log(exp(cosine(row, rows[partner]) / temperature) / denominator))
    return sum(losses) / len(losses)


def info_nce(queries: Array, keys: Array, queue: Array, temperature: float) -> float:
    """Seed 002, Eq. 3.1: the sum runs over the positive and the K columns of the queue."""
    losses = []
    for query, key in zip(queries, keys, strict=True):
        positive = exp(cosine(query, key) / temperature)
        negatives = sum(exp(cosine(query, column) / temperature) for column in queue.T)
        losses.append(-log(positive / (positive + negatives)))
    return sum(losses) / len(losses)


def sinkhorn(scores: Array, epsilon: float, iterations: int) -> Array:
    """SwAV, Algorithm 1, ``sinkhorn``: Q is (prototypes, samples); returns its transpose (samples, prototypes)."""
    codes = np.exp(scores.T / epsilon)
    codes /= codes.sum()
    prototypes, samples = codes.shape
    for _ in range(iterations):
        for k in range(prototypes):
            codes[k] /= codes[k].sum() * prototypes
        for b in range(samples):
            codes[:, b] /= codes[:, b].sum() * samples
    return (codes * samples).T


def unit(vectors: Array) -> Array:
    """Rows of length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def swapped_prediction(
    views: Array,
    prototypes: Array,
    queues: dict[int, Array],
    assigned: tuple[int, ...],
    *,
    temperature: float,
    epsilon: float,
    iterations: int,
) -> float:
    """SwAV, Eq. 2 and 6 (multi-crop): codes of the assigned crops, predicted from every other crop.

    Args:
        views: (crops, batch, dimension) of one modality.
        prototypes: (K, dimension).
        queues: for an assigned crop the rows that stand before its batch; absent where its queue is not in use.
        assigned, temperature, epsilon, iterations: as in the objective.
    """
    views, prototypes = unit(views), unit(prototypes)
    batch = views.shape[1]
    per_crop = []
    for i in assigned:
        samples = np.concatenate([queues[i], views[i]]) if i in queues else views[i]
        codes = sinkhorn(samples @ prototypes.T, epsilon, iterations)[-batch:]
        per_view = []
        for v in range(len(views)):
            if v == i:
                continue
            losses = []
            for b in range(batch):
                weights = [exp(views[v, b] @ prototype / temperature) for prototype in prototypes]
                losses.append(-sum(q * log(w / sum(weights)) for q, w in zip(codes[b], weights, strict=True)))
            per_view.append(sum(losses) / batch)
        per_crop.append(sum(per_view) / (len(views) - 1))
    return sum(per_crop) / len(per_crop)
