"""PhysioNet CT-ICH 1.3.1: `hemorrhage_diagnosis_raw_ct.csv`, `ct_scans/049.nii`, `masks/049.nii`.

Hssayeni et al., Data 5 (2020) 14. One row a slice: `PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,
Subarachnoid,Epidural,Subdural,No_Hemorrhage,Fracture_Yes_No`. The table may be comma- or semicolon-separated (Excel).
From the set's README: the names of files and columns, and that scans 59 to 65 do not exist. From code that reads the
set: slice numbers count from 1 along the third axis of the NIfTI file.

Masks tell bleed or none, not which type. Where a marked slice has one type by its row, its voxels get that type; a case
with a marked slice of several types keeps its labels and gets no mask, and is counted. A mark on a slice without a
bleed is refused.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundles.common.datalist.images import NIFTI, ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.datalist.volumes import Labels, check_pair, grid_of, read_labels, write_volume
from bundles.head_ct_hemorrhage.scripts.datasets.bleeds import FLAGS, TYPES, Head

SUFFIXES = NIFTI
COLUMNS = tuple(name.capitalize() for name in TYPES)
NEEDED = ("PatientNumber", "SliceNumber", *COLUMNS, "No_Hemorrhage")
SEPARATORS = ",;\t"


@dataclass(frozen=True, slots=True)
class _Slice:
    """A row: slice from 1, a flag for each of `TYPES`, and where it stands."""

    number: int
    types: tuple[int, ...]
    place: Place


def read(table: Path, images: ImageFolder, masks: ImageFolder | None, made: Path, problems: Problems) -> Reading:
    """Read the set.

    Args:
        table: `hemorrhage_diagnosis_raw_ct.csv`.
        images: `ct_scans`.
        masks: `masks`; None leaves them aside.
        made: Folder for the masks with numbers of types.
        problems: Receives what is wrong.
    """
    records, untyped = [], 0
    for patient, rows in watched(_rows(table, problems).items(), "scans"):
        name = f"{patient:03d}"
        with problems.at(rows[0].place, name):
            image = images.find(name)
            types = _table(rows, grid_of(images.root / image).shape[2], name)
            mask = None
            if masks is not None:
                mask = _mask(images.root / image, masks.root / masks.find(name), types, made / f"{name}_mask")
                untyped += mask is None
            records.append(_record(name, image, mask, types, rows[0].place))
    notes = [f"{untyped} cases have a marked slice of several types, and get no mask"] if untyped else []
    return Reading("PhysioNet CT-ICH", (), tuple(records), (table,), tuple(notes), images.root)


def _rows(table: Path, problems: Problems) -> Mapping[int, list[_Slice]]:
    found: dict[int, dict[int, _Slice]] = defaultdict(dict)
    for row in read_rows(table, NEEDED, problems, SEPARATORS):
        with problems.at(row.place):
            patient = _whole(row, "PatientNumber")
            with problems.at(row.place, f"{patient:03d}"):
                one = _Slice(_whole(row, "SliceNumber"), _types(row), row.place)
                first = found[patient].setdefault(one.number, one)
                if first.place == one.place:
                    continue
                if first.types != one.types:
                    raise Damaged(f"slice {one.number} of {patient} again, with other labels than in {first.place}")
                words = f"slice {one.number} of {patient} again, the same as in {first.place}"
                problems.add(Kind.DUPLICATE, row.place, words)
    return {patient: sorted(slices.values(), key=lambda one: one.number) for patient, slices in found.items()}


def _whole(row: Row, column: str) -> int:
    value = row.number(column)
    if value != int(value) or not 1 <= value <= 99_999:
        raise Damaged(f"'{column}' is '{row[column]}', expected a whole number from 1 on")
    return int(value)


def _types(row: Row) -> tuple[int, ...]:
    types = tuple(int(str(row.one_of(column, FLAGS))) for column in COLUMNS)
    none = int(str(row.one_of("No_Hemorrhage", FLAGS)))
    if none == max(types):
        raise Damaged(f"'No_Hemorrhage' is {none}, and the types say {'a' if max(types) else 'no'} bleed")
    return types


def _table(rows: Sequence[_Slice], slices: int, name: str) -> list[tuple[int, ...]]:
    """Return the types of every slice of the scan, in the order of the file."""
    numbers = [row.number for row in rows]
    if numbers != list(range(1, slices + 1)):
        absent = sorted(set(range(1, slices + 1)) - set(numbers))
        beyond = [number for number in numbers if number > slices]
        words = f"no row for slice {absent[0]}" if absent else f"a row for slice {beyond[0]}"
        raise Damaged(f"scan {name} has {slices} slices, and the table has {len(rows)} rows: {words}")
    return [row.types for row in rows]


def _mask(image: Path, mask: Path, types: Sequence[tuple[int, ...]], made: Path) -> str | None:
    """Write the mask with numbers of types; None where a marked slice has several."""
    grid = check_pair(image, mask)
    drawn, _ = read_labels(mask)
    typed: Labels = np.zeros_like(drawn)
    for index, flags in enumerate(types):
        marked = drawn[:, :, index] > 0
        if not marked.any():
            continue
        if not any(flags):
            raise Damaged(f"{mask}: slice {index + 1} is marked, and the table says that it has no bleed")
        if sum(flags) > 1:
            return None
        typed[:, :, index][marked] = 1 + flags.index(1)
    return str(write_volume(made.with_name(f"{made.name}.nii.gz"), typed, grid.affine))


def _record(name: str, image: str, mask: str | None, types: Sequence[tuple[int, ...]], place: Place) -> VolumeRecord:
    slices = [max(flags) for flags in types]
    return Head(
        key=name,
        image=image,
        patient=name,
        place=place,
        label=max(slices),
        types=[max(flags) for flags in zip(*types, strict=True)],
        slices=slices,
        mask=mask,
    ).record
