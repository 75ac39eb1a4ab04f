"""CQ500: `reads.csv`, three readers, and folders `CQ500CT0 CQ500CT0/Unknown Study/CT PLAIN THIN/CT000000.dcm`.

Chilamkurthy et al., Lancet 392 (2018) 2388. Columns `name,Category,R1:ICH,R1:IPH,…,R3:SAH,…`. The names of columns and
folders are from public code that reads the set; one examination a person is what the paper describes.

What two of three readers say counts, for the bleed and for each type by itself. Where a majority sees a bleed and none
agrees on a type, the types are unknown.

A case has up to a dozen series. Taken is one axial CT series without contrast agent and not of bones, as its header and
the name of its folder tell, of at least `LEAST` slices: the one with the thickest spacing (our choice: what a
radiologist scrolls through, and what this bundle was trained on) or the thinnest; among equals the one with most
slices, then the first by UID. Two series in one folder are told apart by their UID. A file that cannot be read spoils
the series of its folder.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.series import Series, Slice, by_series, read_slice, series_of
from bundles.common.datalist.tables import Row, read_rows
from bundles.head_ct_hemorrhage.scripts.datasets.bleeds import FLAGS, Head, types_of

READERS = ("R1", "R2", "R3")
COLUMNS = {
    "subarachnoid": "SAH",
    "subdural": "SDH",
    "epidural": "EDH",
    "intraventricular": "IVH",
    "intraparenchymal": "IPH",
}
CASE = re.compile(r"CQ500-CT-(?P<number>\d+)")
FOLDER = re.compile(r"(?:^|/)CQ500-?CT-?(?P<number>\d+)(?: [^/]*)?/")
CONTRAST = re.compile(r"\b(?:POST|CECT|CONTRAST|ORAL|ANGIO\w*|C THIN)\b|^CT C\b", re.IGNORECASE)
PLAIN = re.compile(r"\b(?:PRE|NON|WITHOUT|PLAIN)\b", re.IGNORECASE)
BONE = re.compile(r"\bBONE|\bHRCT\b|\bHI ?RES", re.IGNORECASE)
LEAST = 8


class Spacing(StrEnum):
    """Which series of a case is taken."""

    THICK = "thick"
    THIN = "thin"


@dataclass(frozen=True, slots=True)
class _Case:
    """What the readers say."""

    name: str
    place: Place
    label: int
    types: list[int]
    votes: int
    unnamed: bool


def read(table: Path, images: ImageFolder, problems: Problems, spacing: Spacing = Spacing.THICK) -> Reading:
    """Read the set.

    Args:
        table: `reads.csv`.
        images: The folder of the cases, at any depth (`qct01/CQ500CT0 CQ500CT0/…`).
        problems: Receives what is wrong.
        spacing: Which series of a case is taken.
    """
    cases = _cases(table, problems)
    files = _files(images)
    records, passed = [], 0
    for name, case in watched(cases.items(), "cases"):
        with problems.at(case.place, name):
            found, unusable = _candidates(files.get(name, []), images, name)
            passed += unusable
            records.append(_record(case, _choose(found, spacing, name)))
    notes = [f"of every case the {spacing.value}est axial series without contrast agent was taken"]
    if passed:
        notes.append(f"{passed} other series are bones, contrast, not axial, short or cannot be read")
    without = sum(case.unnamed for case in cases.values())
    if without:
        notes.append(f"in {without} cases a majority sees a bleed, and none agrees on its type")
    unlisted = len(set(files) - set(cases))
    if unlisted:
        notes.append(f"{unlisted} folders of cases have no row in {table.name}")
    return Reading("CQ500", (), tuple(records), (table,), tuple(notes), images.root)


def _cases(table: Path, problems: Problems) -> dict[str, _Case]:
    columns = ["name", *(f"{reader}:{finding}" for reader in READERS for finding in ("ICH", *COLUMNS.values()))]
    found: dict[str, _Case] = {}
    for row in read_rows(table, columns, problems):
        with problems.at(row.place, row["name"] or None):
            case = _case(row)
            first = found.setdefault(case.name, case)
            if first.place == row.place:
                continue
            if (first.label, first.types) != (case.label, case.types):
                raise Damaged(f"case '{case.name}' again, read otherwise than in {first.place}")
            problems.add(Kind.DUPLICATE, row.place, f"case '{case.name}' again, the same as in {first.place}")
    return found


def _case(row: Row) -> _Case:
    name = row.needed("name")
    if CASE.fullmatch(name) is None:
        raise Damaged(f"name '{name}', expected such as CQ500-CT-0")
    votes = _votes(row, "ICH")
    types = types_of(kind for kind, column in COLUMNS.items() if _votes(row, column) >= 2)
    label = int(votes >= 2)
    if any(types) and not label:
        raise Damaged("a majority sees a type of bleed, and none a bleed")
    return _Case(name, row.place, label, types, votes, bool(label) and not any(types))


def _votes(row: Row, finding: str) -> int:
    return sum(int(str(row.one_of(f"{reader}:{finding}", FLAGS))) for reader in READERS)


def _files(images: ImageFolder) -> Mapping[str, list[str]]:
    files: dict[str, list[str]] = defaultdict(list)
    for file in images.files:
        parts = FOLDER.search(file)
        if parts is not None:
            files[f"CQ500-CT-{int(parts['number'])}"].append(file)
    return files


def _candidates(files: Sequence[str], images: ImageFolder, name: str) -> tuple[list[Series], int]:
    """Return the series that may be taken, and how many may not."""
    if not files:
        raise Damaged(f"case '{name}' has no folder below {images.root}", Kind.MISSING)
    slices: list[Slice] = []
    damaged: dict[Path, str] = {}
    for file in files:
        try:
            slices.append(read_slice(images, file))
        except Damaged as error:
            damaged.setdefault(Path(file).parent, str(error))
    found, passed = [], 0
    for _, group in sorted(by_series(slices).items()):
        folder = Path(group[0].file).parent
        try:
            series = series_of(group, images.root)
        except Damaged as error:
            damaged.setdefault(folder, str(error))
        if folder not in damaged and _usable(series):
            found.append(series)
        else:
            passed += 1
    if not found:
        why = "".join(f"; {words}" for words in damaged.values())
        raise Damaged(f"case '{name}' has no axial CT series without contrast of {LEAST} slices or more{why}")
    return found, passed


def _usable(series: Series) -> bool:
    words = f"{Path(series.files[0]).parent.name} / {series.description}"
    contrast = bool(series.contrast) or any(
        CONTRAST.search(part.strip()) and not PLAIN.search(part) for part in words.split("/")
    )
    return (
        series.modality == "CT"
        and series.plane == "axial"
        and len(series.files) >= LEAST
        and not contrast
        and BONE.search(f"{words} / {series.kernel}") is None
    )


def _choose(found: Sequence[Series], spacing: Spacing, name: str) -> Series:
    sign = 1 if spacing is Spacing.THIN else -1
    chosen = min(found, key=lambda series: (sign * series.spacing_mm, -len(series.files), series.uid))
    if chosen.spacing_mm <= 0:
        raise Damaged(f"case '{name}': the slices of its series have no distance")
    return chosen


def _record(case: _Case, series: Series) -> VolumeRecord:
    return Head(
        key=case.name,
        image=series.files[0],
        patient=case.name,
        place=case.place,
        label=case.label,
        types=None if case.unnamed else case.types,
        files=series.files,
        more={
            "votes": case.votes,
            "series": series.uid,
            "description": series.description or Path(series.files[0]).parent.name,
            "slice_spacing_mm": series.spacing_mm,
        },
    ).record
