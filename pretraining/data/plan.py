"""The index into the work of sharding: which files make one source, and which sources make one shard.

The plan follows from the index and the settings alone, so that a killed run goes on with the same shards.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pretraining.data.errors import ArchiveError
from pretraining.data.patients import columns_of, read_table

COLUMNS = ["key", "path", "patient", "series", "format", "modality", "body_part", "slices", "rows", "columns", "split"]
GROUP_COLUMNS = ("modality", "body_part", "format")
SOURCES_PER_SHARD = 1024
ROWS_AT_ONCE = 4096
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Labels:
    """Numbers from a table; NaN where unknown.

    Attributes:
        names: The chosen columns.
        table: File name, stem, relative path, or the name of the folder of a series, to one number a column.
    """

    names: tuple[str, ...] = ()
    table: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def of(self, path: PurePosixPath) -> tuple[float, ...]:
        """Return the labels of a file; all NaN where the table has none."""
        return _entry(self.table, path) or (float("nan"),) * len(self.names)


@dataclass(frozen=True, slots=True)
class Groups:
    """What batches are balanced by.

    Attributes:
        name: A column of the index: modality, body_part or format. With a table, the name of its column.
        table: File name, stem, relative path, or the name of the folder of a series, to its group; None for the index.
    """

    name: str = "modality"
    table: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.table is None and self.name not in GROUP_COLUMNS:
            raise ArchiveError(f"cannot group by '{self.name}'; choose one of {', '.join(GROUP_COLUMNS)}")

    def of(self, row: Mapping[str, Any]) -> str:
        """Return the group of a row of the index; "unknown" where nothing tells."""
        found = row[self.name] if self.table is None else _entry(self.table, PurePosixPath(row["path"]))
        return str(found or "unknown")


@dataclass(frozen=True, slots=True)
class Source:
    """What is decoded in one go: a file, or in 3-D the files of a DICOM series; `paths` relative to the archive."""

    key: str
    paths: tuple[str, ...]
    patient: str
    group: str
    modality: str
    split: str
    labels: tuple[float, ...]
    pixels: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Sources that are stored together, and the number of their shard."""

    number: int
    sources: tuple[Source, ...]


def read_groups(name: str, tables: Iterable[Path], key: str) -> Groups:
    """Tell what a name to group by means: a column of the index, else of the first table that has it.

    Args:
        name: As a user gave it.
        tables: CSV files.
        key: Their column with the file's name.

    Raises:
        ArchiveError: It is neither; or as `read_table` says.
    """
    tables = tuple(tables)
    if name in GROUP_COLUMNS:
        return Groups(name)
    for path in tables:
        if name in columns_of(path) and name != key:
            return Groups(name, {entry: values[0] for entry, values in read_table(path, key, (name,)).items()})
    where = (
        f", or a column of {' or '.join(map(str, tables))}" if tables else "; tables of labels or patients add theirs"
    )
    raise ArchiveError(f"cannot group by '{name}'; choose one of {', '.join(GROUP_COLUMNS)}{where}")


def read_labels(path: Path, key: str, names: tuple[str, ...]) -> Labels:
    """Read label columns of a CSV file; an empty cell is unknown.

    Raises:
        ArchiveError: As `read_table` says, or a cell is no number.
    """

    def number(cell: str, name: str) -> float:
        try:
            return float(cell) if cell else float("nan")
        except ValueError as error:
            raise ArchiveError(f"{path}: column '{name}' holds '{cell[:20]}', expected numbers or nothing") from error

    rows = read_table(path, key, names)
    return Labels(
        names,
        {
            entry: tuple(number(cell, name) for cell, name in zip(row, names, strict=True))
            for entry, row in rows.items()
        },
    )


def plan_shards(index: Path, dimensions: int, labels: Labels, groups: Groups, shard_pixels: int) -> Iterator[Shard]:
    """Deal the sources of an index into shards of about `shard_pixels` pixels, in the order of the index.

    In 2-D memory stays flat. In 3-D the index is sorted by series first: its columns pass through memory once.
    """
    try:
        sources = _volumes(index, labels, groups) if dimensions == 3 else _images(index, labels, groups)
        waiting: list[Source] = []
        number = pixels = 0
        for source in sources:
            waiting.append(source)
            pixels += source.pixels
            if pixels >= shard_pixels or len(waiting) >= SOURCES_PER_SHARD:
                yield Shard(number, tuple(waiting))
                waiting, pixels, number = [], 0, number + 1
        if waiting:
            yield Shard(number, tuple(waiting))
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise ArchiveError(f"{index}: not an index; make one with 'python -m pretraining index' ({error})") from error


def _images(index: Path, labels: Labels, groups: Groups) -> Iterator[Source]:
    with pq.ParquetFile(index) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=COLUMNS):
            for row in batch.to_pylist():
                yield _source(row, labels, groups)


def _volumes(index: Path, labels: Labels, groups: Groups) -> Iterator[Source]:
    table = pq.read_table(index, columns=COLUMNS)
    table = table.take(np.lexsort((table["path"].to_numpy(), table["series"].to_numpy())))
    rows = (row for batch in table.to_batches(ROWS_AT_ONCE) for row in batch.to_pylist())
    for _, files in groupby(rows, key=lambda row: row["series"]):
        parts = [_source(row, labels, groups) for row in files]
        yield replace(
            parts[0],
            paths=tuple(path for part in parts for path in part.paths),
            pixels=sum(part.pixels for part in parts),
        )


def _source(row: dict[str, Any], labels: Labels, groups: Groups) -> Source:
    return Source(
        key=row["key"],
        paths=(row["path"],),
        patient=row["patient"],
        group=groups.of(row),
        modality=row["modality"],
        split=row["split"],
        labels=labels.of(PurePosixPath(row["path"])),
        pixels=row["slices"] * row["rows"] * row["columns"],
    )


def _entry(table: Mapping[str, Value], path: PurePosixPath) -> Value | None:
    for key in (str(path), path.name, path.stem, path.parent.name):
        if key in table:
            return table[key]
    return None
