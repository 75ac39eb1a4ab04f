"""The index of an archive: a Parquet file with a row for every image file, patient-wise splits, and a report.

Rows come in the order of the walk, so that the same archive gives the same index. Memory does not grow with the
archive: files are listed, read and written in a stream. No patient data: patient, study and series are hashes. The
path is kept as it is, relative to the folder; keep the index with the archive when file names tell who it is.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from bundles.common.elements import text
from bundles.common.headers import UnreadableImage
from bundles.common.outline import outline
from pretraining.data.changes import files_path
from pretraining.data.errors import ArchiveError
from pretraining.data.files import in_order, walk, whole_file
from pretraining.data.patients import Patients, Shares, hashed

ROWS_AT_ONCE = 4096
FILES_AT_ONCE = 64
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("path", pa.string()),
        ("format", pa.string()),
        ("patient", pa.string()),
        ("study", pa.string()),
        ("series", pa.string()),
        ("modality", pa.string()),
        ("body_part", pa.string()),
        ("slices", pa.int32()),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        ("dtype", pa.string()),
        ("localizer", pa.bool_()),
        ("split", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One image file; strings are "" where nothing tells. `series` of a file that is no DICOM is its own."""

    key: str
    path: str
    format: str
    patient: str
    study: str
    series: str
    modality: str
    body_part: str
    slices: int
    rows: int
    columns: int
    dtype: str
    localizer: bool
    split: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What an index depends on besides the files.

    Attributes:
        patients: Where identity comes from.
        shares: Parts of the patients in each split.
        modality: Of files whose header tells none (NIfTI, PNG, TIFF, JPEG).
        body_part: Likewise.
    """

    patients: Patients = field(default_factory=Patients)
    shares: Shares = field(default_factory=Shares)
    modality: str = "unknown"
    body_part: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What indexing met.

    Attributes:
        images: Files in the index.
        unreadable: Files named in the report.
        others: Files that are no images (tables, text, DICOM objects without pixels).
        without_patient: Images of which nothing told the patient; each stands for a patient of its own.
    """

    images: int
    unreadable: int
    others: int
    without_patient: int


@dataclass(frozen=True, slots=True)
class _Part:
    rows: tuple[IndexRow, ...]
    problems: tuple[tuple[str, str], ...]
    others: int
    without_patient: int


def build_index(
    folder: Path,
    target: Path,
    settings: Settings | None = None,
    *,
    workers: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Index every image below `folder`.

    Args:
        folder: The archive; hidden files and folders are left out.
        target: Parquet file to write; appears whole or not at all. `report_path(target)` names what was unreadable,
            `files_path(target)` every file that was met.
        settings: Patients, splits and defaults.
        workers: Processes that read headers; 0 reads in this one.
        progress: Called with the number of files that were just done.

    Raises:
        ArchiveError: The folder is missing or holds no readable image.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as table:
        with whole_file(report_path(target)) as report, whole_file(files_path(target)) as listed:
            parts = in_order(partial(_read_part, folder, settings or Settings()), _listed(folder, listed), workers)
            summary = _write(parts, table, report, progress)
        # The report stays when there is no index: it says why.
        if summary.images == 0:
            raise ArchiveError(_nothing(folder, summary, report_path(target)))
    return summary


def report_path(target: Path) -> Path:
    """Return where the unreadable files of an index are named: JSON lines of `path` and `reason`."""
    return target.with_suffix(".report.jsonl")


def _listed(folder: Path, target: Path) -> Iterator[tuple[str, ...]]:
    """Yield the files of an archive some at a time, and write their names down."""
    names = (path.relative_to(folder).as_posix() for path in walk(folder))
    with target.open("w", encoding="utf-8") as lines:
        while some := tuple(islice(names, FILES_AT_ONCE)):
            lines.writelines(json.dumps(name) + "\n" for name in some)
            yield some


def _write(parts: Iterable[_Part], table: Path, report: Path, progress: Callable[[int], None]) -> Summary:
    images = unreadable = others = without = 0
    waiting: list[IndexRow] = []
    with pq.ParquetWriter(table, SCHEMA, compression="zstd") as writer, report.open("w", encoding="utf-8") as lines:
        for part in parts:
            waiting.extend(part.rows)
            for path, reason in part.problems:
                lines.write(json.dumps({"path": path, "reason": reason}, ensure_ascii=False) + "\n")
            images, unreadable = images + len(part.rows), unreadable + len(part.problems)
            others, without = others + part.others, without + part.without_patient
            if len(waiting) >= ROWS_AT_ONCE:
                writer.write_table(_table(waiting))
                waiting.clear()
            progress(len(part.rows) + len(part.problems) + part.others)
        if waiting:
            writer.write_table(_table(waiting))
    return Summary(images, unreadable, others, without)


def _table(rows: list[IndexRow]) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)


def _nothing(folder: Path, summary: Summary, report: Path) -> str:
    if summary.unreadable:
        with report.open(encoding="utf-8") as lines:
            first = json.loads(next(lines))["reason"]
        return f"{folder}: all {summary.unreadable} image files are unreadable; the first: {first}"
    return (
        f"{folder}: no image in this folder ({summary.others} other files); expected DICOM, NIfTI (.nii, .nii.gz), "
        "PNG, TIFF or JPEG files"
    )


def _read_part(folder: Path, settings: Settings, names: tuple[str, ...]) -> _Part:
    rows, problems, others, without = [], [], 0, 0
    for name in names:
        try:
            found = _row(folder, PurePosixPath(name), settings)
        except UnreadableImage as error:
            problems.append((name, str(error)))
            continue
        if found is None:
            others += 1
            continue
        row, known = found
        rows.append(row)
        without += not known
    return _Part(tuple(rows), tuple(problems), others, without)


def _row(folder: Path, name: PurePosixPath, settings: Settings) -> tuple[IndexRow, bool] | None:
    found = outline(folder / name)
    if found is None:
        return None
    salt, header = settings.patients.salt, found.dataset

    def said(keyword: str) -> str:
        return "" if header is None else text(header, keyword)

    patient, known = settings.patients.of(name, said("PatientID"))
    series = said("SeriesInstanceUID") or str(name)
    study = said("StudyInstanceUID")
    row = IndexRow(
        key=hashed(salt, "image", said("SOPInstanceUID") or str(name)),
        path=str(name),
        format=found.format,
        patient=patient,
        study=hashed(salt, "study", study) if study else "",
        series=hashed(salt, "series", series),
        modality=said("Modality") or settings.modality,
        body_part=said("BodyPartExamined") or settings.body_part,
        slices=found.shape[0],
        rows=found.shape[1],
        columns=found.shape[2],
        dtype=found.dtype,
        localizer=found.localizer,
        split=settings.shares.split_of(patient),
    )
    return row, known
