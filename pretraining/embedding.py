"""Features of whole images: what a probe looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pretraining.backbones import dimensions_of
from pretraining.samples import RawBatch
from pretraining.views.pipeline import CropSpec, ViewPipeline
from pretraining.views.windows import Whole


@dataclass(frozen=True, slots=True)
class Embedded:
    """Images as vectors.

    Attributes:
        features: (images, features) float32.
        keys: Sample ids, in the same order.
        groups: (images,) index of the modality.
        labels: Name to (images, …) float32, NaN where unknown.
    """

    features: NDArray[np.float32]
    keys: tuple[str, ...]
    groups: NDArray[np.int64]
    labels: Mapping[str, NDArray[Any]]


def centre_view(size: tuple[int, ...]) -> ViewPipeline:
    """The whole image, centred, its proportions kept, without any random change.

    Args:
        size: (rows, columns) or (depth, rows, columns) in pixels.
    """
    return ViewPipeline([CropSpec(1, size, Whole())])


def embed(
    encoder: nn.Module, batches: Iterable[RawBatch], size: tuple[int, ...], *, device: torch.device | str | None = None
) -> Embedded:
    """Features of the whole images, with the norms' stored statistics; the encoder is left as it was.

    Args:
        encoder: (batch, 1, *spatial) → (batch, features).
        batches: Of raw images; their size does not matter.
        size: Of the view, (rows, columns) or (depth, rows, columns).
        device: Where views are made; None takes the encoder's.

    Raises:
        ValueError: No image, a size of other dimensions, or features that are not finite; the message names the key.
    """
    if len(size) != dimensions_of(encoder):
        raise ValueError(f"the encoder takes {dimensions_of(encoder)} axes, a view of {size} has {len(size)}")
    place = next(encoder.parameters()).device
    pipeline, generator = centre_view(size), torch.Generator()
    features: list[NDArray[np.float32]] = []
    read: list[RawBatch] = []
    training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                view = pipeline(batch.to(device or place), generator).crops[0]
                features.append(_finite(encoder(view.to(place)).float().cpu().numpy(), batch.keys))
                read.append(_without_images(batch))
    finally:
        encoder.train(training)
    if not read:
        raise ValueError("there is no image to embed; is the list empty?")
    return Embedded(
        features=np.concatenate(features),
        keys=tuple(key for batch in read for key in batch.keys),
        groups=torch.cat([batch.groups.cpu() for batch in read]).numpy(),
        labels={name: torch.cat([batch.labels[name].cpu() for batch in read]).numpy() for name in read[0].labels},
    )


def _finite(features: NDArray[np.float32], keys: tuple[str, ...]) -> NDArray[np.float32]:
    broken = ~np.isfinite(features).all(axis=1)
    if broken.any():
        raise ValueError(f"the features of {keys[int(broken.argmax())]} are not finite: are the weights damaged?")
    return features


def _without_images(batch: RawBatch) -> RawBatch:
    return RawBatch(images=(), ranges=batch.ranges, groups=batch.groups, keys=batch.keys, labels=batch.labels)
