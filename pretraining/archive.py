"""From a folder of images to batches: the store is made where it is missing, then read in the sampler's order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import structlog
from torch import distributed as dist

from bundles.common.running import flag
from pretraining.data.changes import changes_since, files_path
from pretraining.data.decode import Recipe
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.data.index import Settings, build_index
from pretraining.data.loader import Prefetcher
from pretraining.data.patients import Patients, Shares, read_table
from pretraining.data.plan import Groups, Labels, read_groups, read_labels
from pretraining.data.sampler import BalancedSampler
from pretraining.data.shards import StoreSettings, build_store
from pretraining.data.store import ImageStore
from pretraining.objectives.distributed import rank, world_size
from pretraining.steps import Step

STORES = Path("var/stores")
INDEX = "index.parquet"
MADE_WITH = "made_with.json"
log = structlog.get_logger()


@dataclass(frozen=True)
class ArchiveSettings:
    """How a folder of images becomes a store; see `pretraining.data` for what each means.

    Attributes:
        dimensions: 2 stores every slice by itself, 3 whole volumes.
        bits: 16 keeps integer values, 8 maps black…white onto 0…255.
        max_side: Longest side in pixels; None keeps the images as they are.
        min_spacing_mm: 3-D: finer axes are averaged down to it.
        percentiles: Values that become black and white where a modality has no window.
        windows: Modality to (black, white).
        group_by: What batches are balanced by: modality, body_part, format, or a column of `labels` or `patients`.
        modality: Of files whose header tells none.
        labels: CSV file with numbers for some images, and the column that names the image.
        label_key: That column.
        label_names: Columns that are labels.
        patients: CSV file that tells whose image it is; the same `label_key`.
        patient_column: Column with the patient.
        patient_pattern: Or a regular expression on the path whose first group is the patient.
        shares: Parts of the patients in train, validate and test.
        store_as_it_is: Take a finished store whatever it was made with, and whatever came into the archive since.
    """

    dimensions: int = 2
    bits: Literal[8, 16] = 16
    max_side: int | None = None
    min_spacing_mm: float | None = None
    percentiles: tuple[float, float] = (1.0, 99.0)
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    group_by: str = "modality"
    modality: str = "unknown"
    labels: str | None = None
    label_key: str = "file"
    label_names: tuple[str, ...] = ()
    patients: str | None = None
    patient_column: str = "patient"
    patient_pattern: str | None = None
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    store_as_it_is: bool | str = False

    def plain(self) -> dict[str, Any]:
        """As JSON would give it back, with the tables' content in place of their names."""
        values = asdict(self)
        del values["store_as_it_is"]
        for name in ("labels", "patients"):
            values[name] = None if values[name] is None else _digest(Path(values[name]))
        found: dict[str, Any] = json.loads(json.dumps(values))
        return found


def store_folder(dataset_dir: str, dimensions: int) -> str:
    """Where the store of a folder of images lies unless told otherwise: `var/stores/NAME-HASH-2d`."""
    path = Path(dataset_dir).resolve()
    return str(STORES / f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}-{dimensions}d")


def prepare(dataset_dir: Path | str, store_dir: Path | str, settings: ArchiveSettings, *, workers: int = 0) -> Path:
    """Index and decode a folder of images, unless that is done; a killed run goes on where it was.

    A store that `python -m pretraining shard` made is taken as it is, and any finished store with
    `settings.store_as_it_is`. Otherwise files that were added since stop the run, because nothing would show that they
    are not trained on; files that are gone are a warning. With several processes the first one works, the others wait.

    Args:
        dataset_dir: DICOM, NIfTI, PNG, TIFF or JPEG files, in any folders.
        store_dir: Folder of the store and its index.
        settings: As above.
        workers: Processes that read and decode; 0 works in this one.

    Returns:
        The folder of the store.

    Raises:
        ArchiveError: No images, a table that does not fit, a store that was made with other settings, or files that
            came later than the store.
    """
    folder, target = Path(dataset_dir), Path(store_dir)
    if rank() == 0:
        _prepare(folder, target, settings, workers)
    if world_size() > 1:
        dist.barrier()
    return target


def _prepare(folder: Path, target: Path, settings: ArchiveSettings, workers: int) -> None:
    made, complete = target / MADE_WITH, (target / "complete.json").is_file()
    if flag(settings.store_as_it_is) and not complete:
        raise ArchiveError(f"{target}: no finished store is here that could be taken as it is (store_as_it_is)")
    if complete and (flag(settings.store_as_it_is) or not made.is_file()):
        log.info("store_taken_as_it_is", store=str(target))
        return
    identity = {"dataset_dir": str(folder.resolve()), **settings.plain()}
    begun = made.is_file()
    if begun:
        _agree(made, identity)
    else:
        # An index without its settings is that of a run that was killed, or of another folder.
        (target / INDEX).unlink(missing_ok=True)
    if not complete:
        groups = _groups(settings)
        _index(folder, target, settings, workers)
        with whole_file(made) as temporary:
            temporary.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
        _decode(folder, target, settings, groups, workers)
    if begun:
        _refuse_new_files(folder, target)


def _agree(made: Path, identity: Mapping[str, Any]) -> None:
    found = json.loads(made.read_text(encoding="utf-8"))
    changed = [name for name, value in identity.items() if found.get(name) != value]
    if changed:
        raise ArchiveError(
            f"{made.parent}: this store was made with another {', '.join(changed)}; give another --store_dir, or "
            "delete the folder to make it again"
        )


def _refuse_new_files(folder: Path, target: Path) -> None:
    if not files_path(target / INDEX).is_file():
        log.warning("store_without_list_of_files", store=str(target), meaning="files added since cannot be told")
        return
    if not folder.is_dir():
        log.warning("archive_not_there", dataset_dir=str(folder), meaning="the store is used alone")
        return
    changes = changes_since(folder, target / INDEX)
    if changes.gone:
        log.warning("files_gone_since_store_was_made", files=changes.gone, meaning="their images are in the store")
    if changes.new:
        raise ArchiveError(
            f"{folder}: {changes.new} files are new since the store {target} was made (the first: {changes.first}). "
            "Give another --store_dir, or delete the store, to have them in; or train without them: "
            "--store_as_it_is true"
        )


def _groups(settings: ArchiveSettings) -> Groups:
    tables = (Path(table) for table in (settings.labels, settings.patients) if table is not None)
    return read_groups(settings.group_by, tables, settings.label_key)


def _decode(folder: Path, target: Path, settings: ArchiveSettings, groups: Groups, workers: int) -> None:
    recipe = Recipe(
        dimensions=settings.dimensions,
        bits=settings.bits,
        max_side=settings.max_side,
        min_spacing_mm=settings.min_spacing_mm,
        percentiles=_pair(settings.percentiles),
        windows={name: _pair(window) for name, window in settings.windows.items()},
    )
    names = tuple(settings.label_names)
    labels = Labels() if settings.labels is None else read_labels(Path(settings.labels), settings.label_key, names)
    how = StoreSettings(recipe, labels, groups.name, group_table=groups.table)
    stored = build_store(folder, target / INDEX, target, how, workers=workers)
    log.info("store_made", store=str(target), images=stored.images, left_out=stored.skipped)
    for name, known in known_labels(target).items():
        log.info("label_known", label=name, images=known, of=stored.images)


def known_labels(target: Path) -> dict[str, int]:
    """Count the images of a finished store whose label is known, for each label.

    Raises:
        ArchiveError: There are labels, and none is known of any image: then the table's key does not name these files.
    """
    store = ImageStore(target)
    known = {name: int((~np.isnan(values)).sum()) for name, values in store.labels.items()}
    if known and not any(known.values()):
        raise ArchiveError(
            f"{target}: no image has a value of {', '.join(known)}: the key column of the labels must hold file "
            "names, stems or paths below the folder. Correct the table and make the store in another place"
        )
    return known


def _index(folder: Path, target: Path, settings: ArchiveSettings, workers: int) -> None:
    if (target / INDEX).is_file():
        return
    table = {}
    if settings.patients is not None:
        rows = read_table(Path(settings.patients), settings.label_key, (settings.patient_column,))
        table = {key: values[0] for key, values in rows.items() if values[0]}
    identity = Patients(table=table, pattern=settings.patient_pattern)
    found = build_index(
        folder,
        target / INDEX,
        Settings(patients=identity, shares=Shares(*settings.shares), modality=settings.modality),
        workers=workers,
    )
    log.info("archive_indexed", **asdict(found))


def _pair(values: Sequence[float]) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}; it was named as a table of labels or patients") from error


class ArchiveFeed:
    """Endless optimiser steps of balanced batches, read ahead; each knows where a resumed run goes on.

    Args:
        store: The training images.
        batch_size: Of one process.
        seed: Of the order.
        accumulate: Batches of one step.
        workers: Threads that read; 0 reads when asked.
        ahead: Batches read ahead.

    Raises:
        ArchiveError: Fewer images than a batch of all processes, or fewer places in it than modalities.
    """

    def __init__(
        self,
        store: ImageStore,
        batch_size: int,
        *,
        seed: int,
        accumulate: int = 1,
        workers: int = 1,
        ahead: int = 2,
    ) -> None:
        if accumulate < 1 or batch_size < 1:
            raise ArchiveError(f"batch_size and accumulate must be 1 or more, not {batch_size} and {accumulate}")
        joint = batch_size * world_size()
        if len(store) < max(2, joint):
            raise ArchiveError(
                f"{store.folder}: {len(store)} images to train on, but a batch of all processes has {joint}, and an "
                "image needs at least one other to be told from; lower --batch_size, or add images (--split all takes "
                "the images of all patients)"
            )
        self.store, self.batch_size, self.accumulate = store, batch_size, accumulate
        self.sampler = BalancedSampler(
            store.groups, batch_size, seed=seed, rank=rank(), world=world_size(), infinite=True
        )
        self.prefetcher = Prefetcher(store, self.sampler, workers=workers, ahead=ahead)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps until as many images were seen as there are."""
        return max(1, self.sampler.batches_per_epoch // self.accumulate)

    @property
    def identity(self) -> str:
        """A hash of the images that are trained on: the store's making and the split."""
        made = json.dumps([self.store.identity, self.store.split], sort_keys=True)
        return hashlib.sha256(made.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[Step]:
        fetched = iter(self.prefetcher)
        while True:
            parts = [next(fetched) for _ in range(self.accumulate)]
            waited = sum(part.data_wait_s for part in parts)
            yield Step(tuple(part.batch for part in parts), waited, parts[-1].position)
