"""Writing a store: every image decoded once, into Arrow files that are memory-mapped later.

A store is a folder: `store.json` (what it was made from and how), and for each shard `shard-00000.arrow` (pixels, one
record batch an image), `shard-00000.jsonl` (what was left out, and why) and `shard-00000.parquet` (everything but the
pixels). The last appears last: a shard without it is made again. `complete.json` and `report.jsonl` close the store.
Every file is whole or not there, so that a killed run, or a full disk, costs the shards in flight and nothing else.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bundles.common.headers import UnreadableImage
from pretraining.data.decode import Recipe, StoredImage, decode
from pretraining.data.errors import ArchiveError
from pretraining.data.files import in_order, whole_file
from pretraining.data.plan import Groups, Labels, Shard, Source, plan_shards

VERSION = 1
PIXELS = pa.schema([("pixels", pa.large_binary())])
ROWS = pa.schema(
    [
        ("key", pa.string()),
        ("patient", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("shape", pa.list_(pa.int32())),
        ("dtype", pa.string()),
        ("black", pa.float32()),
        ("white", pa.float32()),
        ("labels", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a store is made.

    Attributes:
        recipe: Of each image.
        labels: Numbers that go with the images.
        group_by: What batches are balanced by: modality, body_part or format of the index, or a column's name.
        shard_pixels: Pixels of the sources of one shard, about; 128 MiB of 16-bit pixels.
        group_table: File names to groups, where `group_by` is no column of the index; see `Groups`.
    """

    recipe: Recipe = field(default_factory=Recipe)
    labels: Labels = field(default_factory=Labels)
    group_by: str = "modality"
    shard_pixels: int = 1 << 26
    group_table: Mapping[str, str] | None = None

    @property
    def groups(self) -> Groups:
        """What tells an image's group.

        Raises:
            ArchiveError: Neither a column of the index nor a table.
        """
        return Groups(self.group_by, self.group_table)


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """Images stored and images or sources left out, of a shard or of a whole store."""

    images: int
    skipped: int


def build_store(
    archive: Path,
    index: Path,
    target: Path,
    settings: StoreSettings | None = None,
    *,
    workers: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> ShardSummary:
    """Decode an indexed archive into a store; a run that was killed goes on with the shard it was at.

    Args:
        archive: The folder that was indexed.
        index: Its index.
        target: Folder of the store, made where it is missing.
        settings: As above.
        workers: Processes that decode, a shard each; 0 decodes in this one.
        progress: Called with the number of index files of each shard that is done.

    Raises:
        ArchiveError: No index; `target` was made from another index or with other settings; no image could be stored;
            the disk is full.
    """
    settings = settings or StoreSettings()
    identity = _identity(index, settings)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _agree(target, identity)
        plan = plan_shards(index, settings.recipe.dimensions, settings.labels, settings.groups, settings.shard_pixels)
        images = skipped = shards = 0
        work = partial(_shard, archive, target, settings.recipe)
        for files, done in in_order(work, plan, workers, at_start=one_thread):
            images, skipped, shards = images + done.images, skipped + done.skipped, shards + 1
            progress(files)
        _close(target, shards, ShardSummary(images, skipped))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ArchiveError(
            f"{target}: the disk is full; the finished shards are kept. Free some space and run the same command again"
        ) from error
    if images == 0:
        raise ArchiveError(f"{target}: none of the {skipped} images could be stored; see {target / 'report.jsonl'}")
    return ShardSummary(images, skipped)


def shard_path(store: Path, number: int, kind: str) -> Path:
    """Return the file of a shard; kind is arrow, parquet or jsonl."""
    return store / f"shard-{number:05d}.{kind}"


def files_in(index: Path) -> int:
    """Count the files of an index.

    Raises:
        ArchiveError: It is no index.
    """
    try:
        return int(pq.read_metadata(index).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise ArchiveError(f"{index}: not an index; make one with 'python -m pretraining index'") from error


def one_thread() -> None:
    """Compute on one thread from now on: processes that decode share the cores."""
    torch.set_num_threads(1)


def _identity(index: Path, settings: StoreSettings) -> dict[str, Any]:
    try:
        with index.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(f"{index}: {error.strerror}; make an index with 'python -m pretraining index'") from error
    identity = {
        "version": VERSION,
        "index_sha256": digest,
        "recipe": asdict(settings.recipe),
        "label_names": settings.labels.names,
        "labels_sha256": _table_digest(settings.labels.table),
        "group_by": settings.group_by,
        "shard_pixels": settings.shard_pixels,
    }
    if settings.group_table is not None:
        identity["groups_sha256"] = _table_digest(settings.group_table)
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def _table_digest(table: Mapping[str, object]) -> str:
    return hashlib.sha256(repr(sorted(table.items(), key=lambda entry: entry[0])).encode()).hexdigest()


def _agree(target: Path, identity: dict[str, Any]) -> None:
    """Begin a store, or go on with one that was begun in the same way."""
    path = target / "store.json"
    if not path.exists():
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(identity, indent=2), encoding="utf-8")
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in identity if found.get(name) != identity[name]]
    if changed:
        raise ArchiveError(f"{target}: a store with other {', '.join(changed)} is here; choose another folder")


def _close(target: Path, shards: int, summary: ShardSummary) -> None:
    with whole_file(target / "report.jsonl") as temporary, temporary.open("w", encoding="utf-8") as report:
        for number in range(shards):
            report.write(shard_path(target, number, "jsonl").read_text(encoding="utf-8"))
    with whole_file(target / "complete.json") as temporary:
        temporary.write_text(json.dumps({"shards": shards, **asdict(summary)}, indent=2), encoding="utf-8")


def _shard(archive: Path, target: Path, recipe: Recipe, shard: Shard) -> tuple[int, ShardSummary]:
    files = sum(len(source.paths) for source in shard.sources)
    table, skipped = shard_path(target, shard.number, "parquet"), shard_path(target, shard.number, "jsonl")
    if table.exists():
        with skipped.open(encoding="utf-8") as lines:
            return files, ShardSummary(pq.read_metadata(table).num_rows, sum(1 for _ in lines))
    rows: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    with (
        whole_file(shard_path(target, shard.number, "arrow")) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, PIXELS) as writer,
    ):
        for source in shard.sources:
            for number, image in enumerate(_decoded(archive, source, recipe)):
                if isinstance(image, str):
                    problems.append({"path": source.paths[0], "reason": image})
                    continue
                writer.write_batch(_batch(image))
                rows.append(_row(source, number, image))
    with whole_file(skipped) as temporary:
        lines_of = (json.dumps(problem, ensure_ascii=False) + "\n" for problem in problems)
        temporary.write_text("".join(lines_of), encoding="utf-8")
    with whole_file(table) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=ROWS), temporary, compression="zstd")
    return files, ShardSummary(len(rows), len(problems))


def _batch(image: StoredImage) -> Any:
    """One binary value that is the pixels themselves, uncopied."""
    pixels = np.ascontiguousarray(image.pixels)
    ends = pa.py_buffer(np.array([0, pixels.nbytes], dtype=np.int64))
    column = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(pixels)], null_count=0)
    return pa.record_batch([column], schema=PIXELS)


def _row(source: Source, number: int, image: StoredImage) -> dict[str, Any]:
    return {
        "key": f"{source.key}-{number}" if number else source.key,
        "patient": source.patient,
        "group": source.group,
        "split": source.split,
        "shape": image.pixels.shape,
        "dtype": str(image.pixels.dtype),
        "black": image.black,
        "white": image.white,
        "labels": source.labels,
    }


def _decoded(archive: Path, source: Source, recipe: Recipe) -> Iterator[StoredImage | str]:
    try:
        yield from decode(tuple(archive / path for path in source.paths), source.modality, recipe)
    except UnreadableImage as error:
        yield str(error)
