"""An encoder and its baselines, probed on the labelled images of a store."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundles.common.metrics.cases import Case, case_id
from pretraining.data.errors import ArchiveError
from pretraining.data.store import ImageStore, collate
from pretraining.embedding import Embedded, embed
from pretraining.probe import Floats, Labelled, ProbeResult, labelled, metadata_features, probe
from pretraining.samples import RawBatch

BATCH = 32
LEARN = ("train", "validate")
SECTIONS = ("training", "validation", "test")
METHODS = ("kNN", "linear")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the features.

    Attributes:
        store: Folder of a store whose images have labels.
        label: Name of the yes-or-no label.
        size: Of the view, (rows, columns) or (depth, rows, columns).
        within: Names of labels by whose values the test images are measured apart as well, such as the view position.
        replicates: Of the bootstrap over patients.
        datalist: JSON with sections of images of the store; it then says which are learned from (training alone, so
            that a share of the labels is what it says) and which measured on (test), in the place of the store's
            splits. None for the splits.
    """

    store: Path
    label: str
    size: tuple[int, ...]
    within: tuple[str, ...] = ()
    replicates: int = 1000
    datalist: Path | None = None

    def probe_cases(self, encoder: torch.nn.Module, method: str = "linear") -> list[Case]:
        """What a probe says of each test image, for comparisons of encoders case by case; needs a datalist.

        Args:
            encoder: To look at.
            method: "linear" or "kNN".

        Raises:
            ArchiveError: No datalist, no store, images that it lacks, or test images that the store trains encoders on.
            ValueError: An unknown method, a class is missing, or the size has other axes than the encoder.
        """
        if self.datalist is None:
            raise ArchiveError("to write cases, a datalist must say which images are learned from: --datalist FILE")
        if method not in METHODS:
            raise ValueError(f"no probe is called '{method}'; there are: {', '.join(METHODS)}")
        parts = sections(ImageStore(self.store), self.datalist)
        everything = embed(encoder, batches(ImageStore(self.store)), self.size)
        learn, test = (self._chosen(everything, parts[name]) for name in ("learn", "test"))
        asked = self._inside(everything, parts["test"])
        keys = [key for key, inside in zip(everything.keys, asked, strict=True) if inside]
        chosen = next(one for one in probe("", learn, test, replicates=0) if one.method == method)
        return [
            Case(self.label, key, str(patient), bool(truth), float(score))
            for key, patient, truth, score in zip(keys, test.patients, test.truth, chosen.scores, strict=True)
        ]

    def _inside(self, embedded: Embedded, keys: frozenset[str]) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = self._known(ImageStore(self.store)) & np.isin(embedded.keys, sorted(keys))
        return inside

    def _chosen(self, embedded: Embedded, keys: frozenset[str]) -> Labelled:
        store, inside = ImageStore(self.store), self._inside(embedded, keys)
        return Labelled(embedded.features[inside], store.labels[self.label][inside] == 1, store.patients[inside])

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


def sections(store: ImageStore, datalist: Path) -> dict[str, frozenset[str]]:
    """Keys of the images to learn from and to test on.

    Raises:
        ArchiveError: No datalist, an image that the store lacks, or a test image of the store's split train, which an
            encoder may have seen.
    """
    try:
        content = json.loads(datalist.read_text(encoding="utf-8"))
        named = {part: [str(row["image"]) for row in content.get(part) or []] for part in SECTIONS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{datalist}: no datalist with images in sections: {error}") from error
    keys = {part: [case_id(name) for name in names] for part, names in named.items()}
    there = set(store.keys)
    lost = [name for part in SECTIONS for name, key in zip(named[part], keys[part], strict=True) if key not in there]
    if lost:
        raise ArchiveError(
            f"{datalist}: {len(lost)} images are not in the store {store.folder}; make both from one folder"
        )
    seen = set(ImageStore(store.folder, "train").keys) & set(keys["test"])
    if seen:
        raise ArchiveError(
            f"{datalist}: {len(seen)} test images are in the split 'train' of {store.folder}, which encoders see; "
            "split both by the same patients and shares"
        )
    return {"learn": frozenset(keys["training"]), "test": frozenset(keys["test"])}


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
