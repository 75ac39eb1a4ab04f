"""GRAZPEDWRI-DX: `dataset.csv` (with a byte order mark), 16-bit PNG, YOLO label files and VOC XML.

Nagy et al., Sci. Data 9 (2022) 222. A blank in a yes-or-no column means no. The name of a file repeats patient, time,
study, side, projection, sex and age; a row that says otherwise is refused.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundles.common.datalist.boxes import Size
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.wrist_fracture.scripts.datasets.objects import CLASSES, FRACTURE, Marked
from bundles.wrist_fracture.scripts.datasets.voc import read_voc
from bundles.wrist_fracture.scripts.datasets.yolo import read_yolo

YES_OR_NO: dict[str, str | int | None] = {"": 0, "0": 0, "1": 1}
PROJECTIONS: dict[str, str | int | None] = {"1": "PA", "2": "LATERAL", "3": "OBLIQUE"}
SIDES: dict[str, str | int | None] = {"L": "L", "R": "R"}
FLAGS = ("initial_exam", "cast", "diagnosis_uncertain", "osteopenia", "metal")
COLUMNS = (
    "filestem",
    "patient_id",
    "study_number",
    "timehash",
    "gender",
    "age",
    "laterality",
    "projection",
    "ao_classification",
    "fracture_visible",
    "pixel_spacing",
    *FLAGS,
)
STEM = re.compile(
    r"(?P<patient_id>\d{4})_(?P<timehash>\d{10})_(?P<study_number>\d{2})_WRI-"
    r"(?P<laterality>[LR])(?P<projection>\d)_(?P<gender>[MF])(?P<age>\d{3})"
)
AGREE_PX = 2.0  # VOC's edges are whole pixels, YOLO's have six digits


@dataclass(frozen=True, slots=True)
class LabelFolders:
    """Where the boxes are: YOLO's `STEM.txt`, VOC's `STEM.xml`, or both, which must then agree."""

    yolo: Mapping[str, Path]
    voc: Mapping[str, Path]

    @classmethod
    def below(cls, yolo: Path | None, voc: Path | None) -> "LabelFolders":
        """Look for files below two folders.

        Raises:
            DatalistError: A folder is missing, or a name is there twice.
        """
        return cls(_by_stem(yolo, ".txt"), _by_stem(voc, ".xml"))


def read(csv: Path, images: ImageFolder, labels: LabelFolders, problems: Problems) -> Reading:
    """Read the set.

    Args:
        csv: `dataset.csv`.
        images: The PNG files, in any folders.
        labels: The boxes.
        problems: Receives what is wrong.
    """
    rows = list(read_rows(csv, COLUMNS, problems))
    records = []
    for row in watched(rows, "images", len(rows)):
        with problems.at(row.place, row["filestem"] or None):
            records.append(_record(row, images, labels, problems))
    listed = {record.image for record in records}
    unlisted = sum(file not in listed for file in images.files)
    notes = [f"{unlisted} images have no row"] if unlisted else []
    disagree = Counter(_disagreement(record) for record in records if record.more["marked"])
    notes += [f"{disagree[words]} images: {words}" for words in sorted(disagree) if words]
    return Reading("GRAZPEDWRI-DX", CLASSES, tuple(records), (csv,), tuple(notes))


def _record(row: Row, images: ImageFolder, labels: LabelFolders, problems: Problems) -> Record:
    stem = row.needed("filestem")
    _check_stem(row, stem)
    fracture = row.one_of("fracture_visible", YES_OR_NO)
    view, side = row.one_of("projection", PROJECTIONS), row.one_of("laterality", SIDES)
    flags = {name: row.one_of(name, YES_OR_NO) for name in FLAGS}
    spacing, age = row.number("pixel_spacing"), row.number("age")
    relative = images.find(stem)
    has_file = stem in labels.yolo or stem in labels.voc
    marked = _marked(stem, images.header(relative).size, labels, problems) if has_file else []
    return Record(
        key=stem,
        image=relative,
        patient=str(int(row.number("patient_id"))),
        place=row.place,
        boxes=tuple(one.edges for one in marked),
        classes=tuple(one.kind for one in marked),
        labels={"fracture": int(str(fracture))},
        view=str(view),
        boxed=has_file and (fracture == 0 or any(one.kind == FRACTURE for one in marked)),
        more={
            "marked": has_file,
            "laterality": str(side),
            "study": str(int(row.number("study_number"))),
            "sex": row["gender"],
            "age": age,
            "pixel_spacing_mm": spacing,
            "ao_classification": row["ao_classification"] or None,
            **flags,
        },
    )


def _check_stem(row: Row, stem: str) -> None:
    parts = STEM.fullmatch(stem)
    if parts is None:
        raise Damaged(f"'filestem' is '{stem}', expected such as 0001_1297860395_01_WRI-L1_M014")
    for column in ("patient_id", "timehash", "study_number", "age"):
        if int(row.number(column)) != int(parts[column]):
            raise Damaged(f"'{column}' is '{row[column]}', and the name of the file says {parts[column]}")
    for column in ("laterality", "projection", "gender"):
        if row[column] != parts[column]:
            raise Damaged(f"'{column}' is '{row[column]}', and the name of the file says {parts[column]}")


def _marked(stem: str, size: Size, labels: LabelFolders, problems: Problems) -> list[Marked]:
    if stem not in labels.voc:
        return read_yolo(labels.yolo[stem], size, stem, problems)
    voc = read_voc(labels.voc[stem], size, stem, problems)
    if stem not in labels.yolo:
        return voc
    yolo = read_yolo(labels.yolo[stem], size, stem, problems)
    if not _agree(yolo, voc):
        raise Damaged(f"{labels.yolo[stem]} and {labels.voc[stem]} mark other objects, or elsewhere")
    return yolo


def _agree(yolo: list[Marked], voc: list[Marked]) -> bool:
    if len(yolo) != len(voc):
        return False
    left = list(voc)
    for one in yolo:
        same = [other for other in left if other.kind == one.kind and _distance(one, other) <= AGREE_PX]
        if not same:
            return False
        left.remove(min(same, key=lambda other: _distance(one, other)))
    return True


def _distance(one: Marked, other: Marked) -> float:
    return max(abs(a - b) for a, b in zip(one.edges, other.edges, strict=True))


def _disagreement(record: Record) -> str:
    boxed, said = FRACTURE in record.classes, record.labels["fracture"] == 1
    if boxed == said:
        return ""
    return "a fracture has a box and is not in the table" if boxed else "a fracture is in the table and has no box"


def _by_stem(folder: Path | None, suffix: str) -> dict[str, Path]:
    if folder is None:
        return {}
    if not folder.is_dir():
        raise DatalistError(f"{folder}: no such folder of labels")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"*{suffix}")):
        if found.setdefault(path.stem, path) != path:
            raise DatalistError(f"{path}: '{path.stem}' is there twice, also as {found[path.stem]}; keep one")
    return found
