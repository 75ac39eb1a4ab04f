"""Reading a store: image number i, memory-mapped, from any process."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pretraining.data.errors import ArchiveError
from pretraining.data.patients import SPLITS
from pretraining.data.shards import VERSION, shard_path
from pretraining.samples import RawBatch


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One stored image.

    Attributes:
        image: (1, rows, columns) or (1, depth, rows, columns), uint8 or uint16.
        range: Stored values that mean black and white.
        group: Index in the store's `group_names`.
        key: Hash.
        labels: Name to number, NaN where unknown.
    """

    image: Tensor
    range: tuple[float, float]
    group: int
    key: str
    labels: Mapping[str, float] = field(default_factory=dict)


class ImageStore(Dataset[Sample]):
    """The images of a finished store, or of one split of it, in the order of the archive.

    What is held in memory is some 100 bytes an image; pixels stay in the mapped files. Copies that go to other
    processes map the files anew.

    Attributes:
        split: That part of it; None for all.
        group_names: All groups of the store, sorted, whatever the split; `Sample.group` counts in it.
        groups: (images,) int64 in `group_names`; for `BalancedSampler`.
        patients: (images,) hashes; for patient-wise statistics.
        labels: Name to (images,) float32, NaN where unknown.
        dimensions: 2 or 3.
        identity: What the store was made from and how, as in `store.json`; for a manifest.
    """

    def __init__(self, folder: Path | str, split: str | None = None) -> None:
        """Open a store.

        Args:
            folder: As `build_store` wrote it.
            split: "train", "validate" or "test"; None for all.

        Raises:
            ArchiveError: No store, an unfinished one, one of another version, or an unknown split.
        """
        self.split = split
        if split is not None and split not in SPLITS:
            raise ArchiveError(f"split '{split}'; choose one of {', '.join(SPLITS)}")
        self.folder = Path(folder)
        self.identity = _read_json(
            self.folder, "store.json", "not a store; make one with 'python -m pretraining shard'"
        )
        if self.identity.get("version") != VERSION:
            raise ArchiveError(f"{folder}: a store of version {self.identity.get('version')}, expected {VERSION}")
        closed = _read_json(
            self.folder, "complete.json", "the store is unfinished; run 'python -m pretraining shard' again"
        )
        self.dimensions = int(self.identity["recipe"]["dimensions"])
        tables = [pq.read_table(shard_path(self.folder, number, "parquet")) for number in range(closed["shards"])]
        table = pa.concat_tables(tables)
        shard = np.repeat(np.arange(len(tables)), [part.num_rows for part in tables])
        place = np.concatenate([np.arange(part.num_rows) for part in tables])
        wanted = np.ones(table.num_rows, bool) if split is None else np.asarray(table["split"]) == split
        names, groups = np.unique(np.asarray(table["group"]).astype(str), return_inverse=True)
        self.group_names = tuple(str(name) for name in names)
        self.groups: NDArray[np.int64] = groups.astype(np.int64)[wanted]
        self._shard, self._place = shard[wanted], place[wanted]
        self._keep(table.filter(pa.array(wanted)))
        self._readers: dict[int, Any] = {}
        self._lock = Lock()

    def _keep(self, table: Any) -> None:
        count = table.num_rows
        self._keys = np.asarray(table["key"]).astype("U")
        self.patients = np.asarray(table["patient"]).astype("U")
        self._shape = np.asarray(table["shape"].combine_chunks().flatten()).reshape(count, self.dimensions)
        self._wide = np.asarray(table["dtype"]) == "uint16"
        self._range = np.stack([np.asarray(table["black"]), np.asarray(table["white"])], axis=1)
        names = tuple(self.identity["label_names"])
        values = np.asarray(table["labels"].combine_chunks().flatten(), dtype=np.float32).reshape(count, len(names))
        self.labels: dict[str, NDArray[np.float32]] = {name: values[:, place] for place, name in enumerate(names)}

    @property
    def keys(self) -> tuple[str, ...]:
        """Hashes of the images, in order."""
        return tuple(str(key) for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of a store of {len(self)}")
        # A copy, because a tensor must own memory that can be written; only its pages of the mapping are read.
        pixels = np.array(self.view(index))
        return Sample(
            image=torch.from_numpy(pixels)[None],
            range=(float(self._range[index, 0]), float(self._range[index, 1])),
            group=int(self.groups[index]),
            key=str(self._keys[index]),
            labels={name: float(values[index]) for name, values in self.labels.items()},
        )

    def view(self, index: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return the mapped pixels of an image, read-only, (rows, columns) or (depth, rows, columns)."""
        with self._lock:  # Arrow does not promise that threads may share a reader
            batch = self._reader(int(self._shard[index])).get_batch(int(self._place[index]))
        dtype = np.uint16 if self._wide[index] else np.uint8
        stored: NDArray[Any] = np.frombuffer(batch.column(0)[0].as_buffer(), dtype=dtype)
        shape = tuple(int(side) for side in self._shape[index])
        if stored.size != np.prod(shape):
            raise ArchiveError(f"{self.folder}: image {self._keys[index]} is damaged; make the store again")
        return stored.reshape(shape)

    def _reader(self, shard: int) -> Any:
        if shard not in self._readers:
            path = shard_path(self.folder, shard, "arrow")
            try:
                self._readers[shard] = pa.ipc.open_file(pa.memory_map(str(path)))
            except (OSError, pa.ArrowInvalid) as error:
                raise ArchiveError(f"{path}: missing or damaged; make the store again") from error
        return self._readers[shard]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_readers", "_lock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._readers, self._lock = {}, Lock()


def collate(samples: Sequence[Sample]) -> RawBatch:
    """Put samples into a batch; images keep their sizes."""
    names = samples[0].labels.keys() if samples else ()
    return RawBatch(
        images=tuple(sample.image for sample in samples),
        ranges=torch.tensor([sample.range for sample in samples], dtype=torch.float32).reshape(-1, 2),
        groups=torch.tensor([sample.group for sample in samples], dtype=torch.int64),
        keys=tuple(sample.key for sample in samples),
        labels={name: torch.tensor([sample.labels[name] for sample in samples]) for name in names},
    )


def _read_json(folder: Path, name: str, hint: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ArchiveError(f"{folder}: {hint}") from error
    return found
