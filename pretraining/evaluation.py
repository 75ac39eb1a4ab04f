"""An encoder and its baselines, probed on the labelled images of a store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pretraining.data.errors import ArchiveError
from pretraining.data.store import ImageStore, collate
from pretraining.embedding import Embedded, embed
from pretraining.probe import Floats, Labelled, ProbeResult, labelled, metadata_features, probe
from pretraining.samples import RawBatch

BATCH = 32
LEARN = ("train", "validate")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the features.

    Attributes:
        store: Folder of a store whose images have labels.
        label: Name of the yes-or-no label.
        size: Of the view, (rows, columns) or (depth, rows, columns).
        within: Names of labels by whose values the test images are measured apart as well, such as the view position.
        replicates: Of the bootstrap over patients.
    """

    store: Path
    label: str
    size: tuple[int, ...]
    within: tuple[str, ...] = ()
    replicates: int = 1000

    def probe_encoder(self, name: str, encoder: torch.nn.Module) -> tuple[ProbeResult, ...]:
        """Both probes of an encoder; it learns from the splits train and validate and is measured on test.

        Raises:
            ArchiveError: No store, or a label that it does not have.
            ValueError: A split is empty or lacks a class; the size has other axes than the encoder.
        """
        learnt = [self._embedded(split, encoder) for split in LEARN if len(ImageStore(self.store, split))]
        if not learnt:
            raise ArchiveError(f"{self.store}: no image in {' and '.join(LEARN)} to learn from")
        learn = _joined([self._labelled(embedded, store) for store, embedded in learnt])
        store, embedded = self._embedded("test", encoder)
        return self._measured(name, learn, self._labelled(embedded, store), store)

    def probe_metadata(self, columns: Sequence[str]) -> tuple[ProbeResult, ...]:
        """Both probes of what labels of the store other than the asked one give away, alone and in pairs.

        Each is standardised; products of two let a linear probe see that a view means one thing here, another there.

        Raises:
            ArchiveError: No store, or a label that it does not have.
            ValueError: A split is empty or lacks a class, or the asked label is among the columns.
        """
        if self.label in columns:
            raise ValueError(f"'{self.label}' is what is asked; it cannot be the metadata as well")
        store = ImageStore(self.store)
        known = self._known(store)
        features = with_products(_metadata(store, columns)[known])
        truth, patients = store.labels[self.label][known] == 1, store.patients[known]
        everything = Labelled(features, truth, patients)
        test = ImageStore(self.store, "test")
        tested = np.isin(patients, np.unique(test.patients))
        return self._measured("metadata", everything.part(~tested), everything.part(tested), test)

    def _embedded(self, split: str, encoder: torch.nn.Module) -> tuple[ImageStore, Embedded]:
        store = ImageStore(self.store, split)
        if not len(store):
            raise ArchiveError(f"{self.store}: no image in the split '{split}'; index with other --shares")
        return store, embed(encoder, batches(store), self.size)

    def _labelled(self, embedded: Embedded, store: ImageStore) -> Labelled:
        self._known(store)
        return labelled(embedded, self.label, dict(zip(embedded.keys, store.patients.tolist(), strict=True)))

    def _known(self, store: ImageStore) -> NDArray[np.bool_]:
        for name in (self.label, *self.within):
            if name not in store.labels:
                raise ArchiveError(f"{self.store}: no label '{name}'; there are: {', '.join(store.labels) or 'none'}")
        return ~np.isnan(store.labels[self.label])

    def _measured(self, name: str, learn: Labelled, test: Labelled, store: ImageStore) -> tuple[ProbeResult, ...]:
        known = self._known(store)
        strata = {
            f"{column} = {value:g}": store.labels[column][known] == value
            for column in self.within
            for value in np.unique(store.labels[column][known])
            if not math.isnan(value)
        }
        return probe(name, learn, test, strata=strata, replicates=self.replicates)


def batches(store: ImageStore, size: int = BATCH) -> Iterator[RawBatch]:
    """All images of a store in its order."""
    for start in range(0, len(store), size):
        yield collate([store[index] for index in range(start, min(start + size, len(store)))])


def _metadata(store: ImageStore, columns: Sequence[str]) -> Floats:
    texts = {
        name: ["" if math.isnan(value) else repr(float(value)) for value in values]
        for name, values in store.labels.items()
    }
    return metadata_features([{name: texts[name][i] for name in texts} for i in range(len(store))], columns)


def with_products(features: Floats) -> Floats:
    """Standardised columns and the products of any two of them."""
    spread = features.std(axis=0)
    even: Floats = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    first, second = np.triu_indices(features.shape[1], k=1)
    products = even[:, first] * even[:, second]
    return np.concatenate([even, products], axis=1)


def _joined(parts: Sequence[Labelled]) -> Labelled:
    return Labelled(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.patients for part in parts]),
    )
