"""The wrists of MURA: `train_image_paths.csv`, `train_labeled_studies.csv` and the same for valid, without headers.

Rajpurkar et al., arXiv 1712.06957. A study is normal or abnormal; all its images carry its label. A normal wrist has no
fracture; what an abnormal one has is not told. No boxes, no views.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import SPLITS, TRAINING, VALIDATION, Reading, Record
from bundles.common.datalist.tables import Row, read_plain_rows
from bundles.wrist_fracture.scripts.datasets.objects import CLASSES

STUDY = re.compile(
    r"(?P<study>(?:[^/]+/)?(?P<split>train|valid)/(?P<part>XR_[A-Z]+)/(?P<patient>patient\d+)/(?P<name>study\d+)_"
    r"(?P<kind>positive|negative))/(?P<image>[^/]*)"
)
WRIST = "XR_WRIST"
VALUES: dict[str, str | int | None] = {"0": 0, "1": 1}
OWN = {"train": (TRAINING,), "valid": (VALIDATION,)}


@dataclass(frozen=True, slots=True)
class _Study:
    """A study's label and where it stands."""

    abnormal: int
    place: Place


def read(
    paths: Iterable[Path], studies: Iterable[Path], images: ImageFolder, problems: Problems, *, own_split: bool
) -> Reading:
    """Read the wrists.

    Args:
        paths: `train_image_paths.csv`, `valid_image_paths.csv`.
        studies: `train_labeled_studies.csv`, `valid_labeled_studies.csv`.
        images: The folder that holds `MURA-v1.1`, or that folder itself.
        problems: Receives what is wrong.
        own_split: train and valid are training and validation; otherwise patients are split by hash.
    """
    files, passed = (*paths, *studies), Counter[str]()
    labels = _studies(studies, problems, passed)
    records, used = [], set()
    for path in paths:
        for row in watched(list(read_plain_rows(path, ("path",), problems)), path.name):
            with problems.at(row.place, row["path"] or None):
                parts = _parts(row)
                if parts["part"] != WRIST:
                    passed["images"] += 1
                    continue
                used.add(parts["study"])
                records.append(_record(row, parts, labels.get(parts["study"]), images, own_split=own_split))
    for study in sorted(set(labels) - used):
        problems.add(Kind.MISSING, labels[study].place, f"study '{study}' has a label and no image in the lists", study)
    notes = [f"{passed['images']} images and {passed['studies']} studies of other parts of the body were passed over"]
    unlabelled = sum(record.labels["abnormal"] is None for record in records)
    if unlabelled:
        notes.append(f"{unlabelled} images are of studies without a label")
    return Reading("MURA wrists", CLASSES, tuple(records), files, tuple(notes))


def _studies(tables: Iterable[Path], problems: Problems, passed: Counter[str]) -> dict[str, _Study]:
    found: dict[str, _Study] = {}
    for table in tables:
        for row in read_plain_rows(table, ("path", "label"), problems):
            with problems.at(row.place, row["path"] or None):
                parts, value = _parts(row), row.one_of("label", VALUES)
                if parts["image"]:
                    raise Damaged(f"path '{row['path']}' is that of an image, expected that of a study")
                if parts["part"] != WRIST:
                    passed["studies"] += 1
                    continue
                if value != int(parts["kind"] == "positive"):
                    raise Damaged(f"the label is {value}, and the path says {parts['kind']}")
                first = found.setdefault(parts["study"], _Study(int(str(value)), row.place))
                if first.place != row.place:
                    problems.add(Kind.DUPLICATE, row.place, f"the same study as in {first.place}", row["path"])
    return found


def _parts(row: Row) -> re.Match[str]:
    parts = STUDY.fullmatch(row.needed("path"))
    if parts is None:
        raise Damaged(
            f"path '{row['path']}', expected such as MURA-v1.1/train/XR_WRIST/patient00010/study1_positive/image1.png"
        )
    return parts


def _record(row: Row, parts: re.Match[str], study: _Study | None, images: ImageFolder, *, own_split: bool) -> Record:
    if not parts["image"]:
        raise Damaged(f"path '{row['path']}' is that of a study, expected that of an image")
    abnormal = None if study is None else study.abnormal
    image = images.find_path(row["path"])
    # No box asks for its size; the header shows a download that broke off.
    images.header(image)
    return Record(
        key=row["path"],
        image=image,
        patient=parts["patient"],
        place=row.place,
        labels={"abnormal": abnormal, "fracture": 0 if abnormal == 0 else None},
        boxed=False,
        pool=OWN[parts["split"]] if own_split else SPLITS,
        more={"study": parts["name"]},
    )
