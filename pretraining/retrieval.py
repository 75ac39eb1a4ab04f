"""Does an encoder know an unseen image again? Two random views of every image; each looks for its other half.

Needs no labels: it tells whether a training learned something that holds for images it never saw. Chance is one in as
many as there are images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundles.common.metrics import Interval, bootstrap
from pretraining.data.store import ImageStore
from pretraining.evaluation import batches
from pretraining.views.pipeline import ViewPipeline


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How well second views are found.

    Attributes:
        first: Share of images whose own second view is the nearest by cosine, with its 95 % interval over patients.
        median_rank: Of the own second view; 1 is the best.
        images: That were compared with each other.
    """

    first: Interval
    median_rank: float
    images: int

    @property
    def chance(self) -> float:
        """What `first` would be by guessing."""
        return 1 / self.images


def retrieve(
    encoder: nn.Module, store: ImageStore, views: ViewPipeline, *, seed: int = 0, replicates: int = 1000
) -> Retrieval:
    """Compare the first crop of every image with the second crop of all.

    Args:
        encoder: (batch, 1, *spatial) → (batch, features); its features are compared, not a projection.
        store: At least two images.
        views: That give at least two crops; the same ones for the same seed, whatever the encoder.
        seed: Of views and bootstrap.
        replicates: Of the bootstrap over patients.

    Raises:
        ValueError: Fewer than two images, or views of one crop.
    """
    if len(store) < 2:
        raise ValueError(f"{store.folder}: {len(store)} images; to be told apart there must be two at least")
    generator = torch.Generator().manual_seed(seed)
    place = next(encoder.parameters()).device
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode():
            for batch in batches(store):
                crops = views(batch, generator).crops
                if len(crops) < 2:
                    raise ValueError("views of one crop have no second view to look for")
                one, two = (encoder(crop.to(place)).float().cpu().numpy() for crop in crops[:2])
                parts.append((one, two))
    finally:
        encoder.train(training)
    queries, keys = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    ranks = own_ranks(queries, keys)
    people = np.unique(store.patients, return_inverse=True)[1]
    first = bootstrap(lambda drawn: float((ranks[drawn] == 1).mean()), len(ranks), people, replicates, seed)
    return Retrieval(first, float(np.median(ranks)), len(ranks))


def own_ranks(queries: NDArray[np.floating], keys: NDArray[np.floating]) -> NDArray[np.intp]:
    """Place of each query's own key among all keys by cosine, from 1; a tie counts against it.

    Args:
        queries: (images, features).
        keys: (images, features), in the same order.
    """
    cosine = _unit(queries) @ _unit(keys).T
    own = np.diag(cosine)[:, None]
    ranks: NDArray[np.intp] = (cosine >= own).sum(axis=1)
    return ranks


def _unit(features: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    unit: NDArray[np.float64] = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    return unit
