"""RSNA Intracranial Hemorrhage Detection: `stage_2_train.csv` and a folder of single DICOM slices.

Flanders et al., Radiol. Artif. Intell. 2 (2020) e190211. `ID,Label`, six rows an image: `ID_12cadc6af_epidural,0`.
From descriptions, not seen in the files: some rows are there twice, and one image is cut off, so that the set as
downloaded needs --leave-out; PatientID is a pseudonym of the person, and one person may have several examinations.

Slices become series by SeriesInstanceUID and are sorted by their positions. A series has a bleed, or a type, where one
of its slices has. A series is left out where one of its slices cannot be read. An image that is missing altogether
tells no series; the others of its series stay.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.series import Slice, by_series, read_slice, series_of
from bundles.common.datalist.tables import read_rows
from bundles.head_ct_hemorrhage.scripts.datasets.bleeds import FLAGS, TYPES, Head

ID = re.compile(rf"(?P<image>ID_[0-9a-f]+)_(?P<name>any|{'|'.join(TYPES)})")
NAMES = ("any", *TYPES)
NAME = "RSNA Intracranial Hemorrhage Detection"


@dataclass(slots=True)
class _Labels:
    """What the table says of one image: the line that brought it in, and flags by name with their lines."""

    place: Place
    flags: dict[str, tuple[int, Place]] = field(default_factory=dict)

    @property
    def types(self) -> list[int]:
        return [self.flags[name][0] for name in TYPES]


def read(table: Path, images: ImageFolder, problems: Problems) -> Reading:
    """Read the set.

    Args:
        table: `stage_2_train.csv`.
        images: The folder `stage_2_train`, `ID_….dcm` below it.
        problems: Receives what is wrong.
    """
    labels = _labels(table, problems)
    slices, names = _slices(labels, images, problems)
    records, spoiled = [], problems.spoiled
    for uid, group in watched(by_series(slices).items(), "series"):
        place = min(labels[names[one.file]].place for one in group)
        with problems.at(place, uid):
            unusable = next((names[one.file] for one in group if names[one.file] in spoiled), None)
            if unusable is not None:
                raise Damaged(f"the series holds the image {unusable}, whose labels cannot be used")
            records.append(_record(uid, group, labels, names, images.root, place))
    unlabelled = len(images.files) - len({one.file for one in slices})
    notes = [f"{len(slices)} labelled slices make {len(records)} series"]
    if unlabelled:
        notes.append(f"{unlabelled} files of the folder have no label and were passed over")
    return Reading(NAME, (), tuple(records), (table,), tuple(notes), images.root)


def _labels(table: Path, problems: Problems) -> dict[str, _Labels]:
    found: dict[str, _Labels] = {}
    for row in read_rows(table, ("ID", "Label"), problems):
        parts = ID.fullmatch(row["ID"])
        with problems.at(row.place, parts["image"] if parts else None):
            if parts is None:
                raise Damaged(f"ID '{row['ID']}', expected such as ID_12cadc6af_epidural")
            # First of all, so that an image whose labels are damaged is known, and spoils its series.
            labels = found.setdefault(parts["image"], _Labels(row.place))
            _note(labels, parts["name"], int(str(row.one_of("Label", FLAGS))), row.place, problems)
    spoiled = problems.spoiled
    for image, labels in found.items():
        if image not in spoiled:
            with problems.at(labels.place, image):
                _check(labels)
    return found


def _note(labels: _Labels, name: str, flag: int, place: Place, problems: Problems) -> None:
    first, where = labels.flags.setdefault(name, (flag, place))
    if where == place:
        return
    if first != flag:
        raise Damaged(f"'{name}' is {flag}, and {first} in {where}")
    problems.add(Kind.DUPLICATE, place, f"'{name}' of the image again, the same as in {where}")


def _check(labels: _Labels) -> None:
    absent = [name for name in NAMES if name not in labels.flags]
    if absent:
        raise Damaged(f"the image has no row for {', '.join(absent)}; expected six rows an image")
    if labels.flags["any"][0] != max(labels.types):
        raise Damaged(f"'any' is {labels.flags['any'][0]}, and the types say {max(labels.types)}")


def _slices(
    labels: Mapping[str, _Labels], images: ImageFolder, problems: Problems
) -> tuple[list[Slice], dict[str, str]]:
    """Read the headers of all labelled images; return them and the name of the image by file."""
    slices, names = [], {}
    for image, known in watched(labels.items(), "headers"):
        with problems.at(known.place, image):
            one = read_slice(images, images.find(image))
            if len(one.frames) != 1:
                raise Damaged(f"{images.root / one.file}: {len(one.frames)} frames, expected one slice")
            slices.append(one)
            names[one.file] = image
    return slices, names


def _record(  # noqa: PLR0917
    uid: str, group: Sequence[Slice], labels: Mapping[str, _Labels], names: Mapping[str, str], root: Path, place: Place
) -> VolumeRecord:
    series = series_of(list(group), root)
    if not series.patient:
        raise Damaged(f"the series of {names[series.files[0]]} tells no PatientID, and splits go by patient")
    each = [labels[names[one.file]].types for one in group]
    types = [max(flags) for flags in zip(*each, strict=True)]
    return Head(
        key=uid,
        image=series.files[0],
        patient=series.patient,
        place=place,
        label=max(types),
        types=types,
        slices=[max(labels[names[file]].types) for file in series.files],
        files=series.files,
        more={"series": uid, "slice_spacing_mm": series.spacing_mm},
    ).record
