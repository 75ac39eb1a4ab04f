"""While a training runs: what its features already know, on the labelled part of the archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from ignite.engine import Engine, Events
from torch import nn

from pretraining.data.store import ImageStore, collate
from pretraining.embedding import Embedded, embed
from pretraining.objectives.distributed import rank
from pretraining.probe import Labelled, ProbeResult, labelled, probe
from pretraining.samples import RawBatch
from pretraining.watch import write_summary

log = structlog.get_logger()


class OnlineProbe:
    """kNN and linear probe every few epochs: learned on the labelled training images, read on the validation images.

    The curve of AUROC goes into the log, `summary.json` and TensorBoard. It is for watching, not for choosing: the
    validation images that are looked at every epoch are no test set.

    Args:
        folder: Of `summary.json`.
        encoder: That is trained.
        train: Images of the training patients.
        validate: Images of other patients.
        label: Of the finding; 0, 1, or NaN where unknown. None switches the probe off.
        size: Of the view, (rows, columns) or (depth, rows, columns).
        every: Epochs between probes.
        images: At most, of each part; the same ones every time.
        batch_size: Of the embedding.
        seed: Chooses the images.
        replicates: Of the bootstrap.
    """

    def __init__(
        self,
        folder: Path | str,
        encoder: nn.Module,
        train: ImageStore,
        validate: ImageStore,
        *,
        label: str | None,
        size: tuple[int, ...],
        every: int = 1,
        images: int = 2000,
        batch_size: int = 32,
        seed: int = 0,
        replicates: int = 200,
    ) -> None:
        self.folder, self.encoder, self.label, self.size = Path(folder), encoder, label, tuple(size)
        self.stores, self.every = (train, validate), every
        self.batch_size, self.seed, self.replicates, self.images = batch_size, seed, replicates, images

    def attach(self, engine: Engine) -> None:
        """Probe on the first process, where there is a label."""
        if rank() == 0 and self.label is not None:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.every), self._probe)

    def _probe(self, engine: Engine) -> None:
        results = self.results()
        for result in results:
            log.info(
                "pretraining_probe",
                epoch=engine.state.epoch,
                method=result.method,
                auroc=round(result.auc.value, 4),
                low=round(result.auc.low, 4),
                high=round(result.auc.high, 4),
            )
        write_summary(self.folder, {"probe": {"epoch": engine.state.epoch, **_plain(results)}})

    def results(self) -> tuple[ProbeResult, ...]:
        """Probe the encoder as it is now.

        Raises:
            ValueError: No such label, or too few patients with and without the finding.
        """
        parts = [self._part(store) for store in self.stores]
        return probe("now", *parts, replicates=self.replicates, seed=self.seed)

    def _part(self, store: ImageStore) -> Labelled:
        label = str(self.label)
        known = known_images(store, label, self.images, self.seed)
        embedded = embed_images(self.encoder, store, known, self.size, self.batch_size)
        patients = {embedded.keys[place]: str(store.patients[index]) for place, index in enumerate(known)}
        return labelled(embedded, label, patients)


def known_images(store: ImageStore, label: str, most: int, seed: int) -> list[int]:
    """Indices of images whose label is known, at most so many, always the same ones.

    Raises:
        ValueError: The store has no such label, or knows it of no image.
    """
    if label not in store.labels:
        raise ValueError(
            f"{store.folder}: no label '{label}'; there are: {', '.join(store.labels) or 'none'}. Labels come into a "
            "store when it is made: --labels CSV --label_names \"['finding']\""
        )
    known = np.flatnonzero(~np.isnan(store.labels[label]))
    if not len(known):
        raise ValueError(f"{store.folder}: no image of this split has a value for the label '{label}'")
    chosen = np.random.default_rng(seed).permutation(known)[:most]
    return [int(index) for index in np.sort(chosen)]


def embed_images(
    encoder: nn.Module, store: ImageStore, indices: list[int], size: tuple[int, ...], batch_size: int
) -> Embedded:
    """Features of some images of a store."""

    def batches() -> Iterator[RawBatch]:
        for start in range(0, len(indices), batch_size):
            yield collate([store[index] for index in indices[start : start + batch_size]])

    return embed(encoder, batches(), size)


def _plain(results: tuple[ProbeResult, ...]) -> dict[str, Any]:
    return {result.method: asdict(result.auc) for result in results}
