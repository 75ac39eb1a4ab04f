"""MIMIC-CXR and MIMIC-CXR-JPG: labels of studies by CheXpert's labeller or NegBio, the set's own split, metadata.

Johnson et al., arXiv 1901.07042; tables of PhysioNet's release 2.0.0 or 2.1.0, packed (`.csv.gz`) or not. A label is a
study's and holds for all its images. The split is by patient: nobody is in two of its parts.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles.chest_classification.scripts.datasets.chexpert import notes_of
from bundles.chest_classification.scripts.datasets.labels import COLUMNS, Labels, Policy, labels_of, unknown_labels
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph.chexpert import Unclear

STUDY = ("subject_id", "study_id")
SPLIT = ("dicom_id", *STUDY, "split")
METADATA = ("dicom_id", *STUDY, "ViewPosition")
OWN: Mapping[str, str | int | None] = {"train": TRAINING, "validate": VALIDATION, "test": TEST}
# Anything else, such as "AXIAL", stays as the header has it.
VIEWS = {"": None, "LL": "LATERAL", "RL": "LATERAL", "LATERAL": "LATERAL"}
ENDINGS = (".jpg", ".dcm", ".png")
NUMBER = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class _Told:
    """Labels of a study, where they stand, and what is wrong with them, if anything is."""

    place: Place
    subject: str
    labels: Labels
    unsure: tuple[str, ...] = ()
    problem: str = ""


def read(
    tables: Sequence[Path],
    split: Path,
    metadata: Path,
    images: ImageFolder,
    problems: Problems,
    *,
    policy: Policy,
    blank: Unclear,
    own_split: bool,
) -> Reading:
    """Read the set.

    Args:
        tables: `mimic-cxr-2.0.0-chexpert.csv`, or `…-negbio.csv`, or both: where they differ, a label is unknown.
        split: `mimic-cxr-2.0.0-split.csv`.
        metadata: `mimic-cxr-2.0.0-metadata.csv`.
        images: The folder that holds `files`, or that folder itself.
        problems: Receives what is wrong.
        policy: What -1 becomes, by finding.
        blank: What a blank becomes; beside No Finding it is absent.
        own_split: train, validate and test are training, validation and test; otherwise patients are split by hash.
    """
    told = [_studies(table, policy, blank, problems) for table in tables]
    views, records, unsure, silent = _views(metadata, problems), [], Counter[str](), 0
    rows = list(read_rows(split, SPLIT, problems))
    for row in watched(rows, split.name, len(rows)):
        with problems.at(row.place, row["dicom_id"] or None):
            labels, uncertain = _together(row, told)
            records.append(_record(row, labels, uncertain, views, images, own_split=own_split))
            silent += labels == unknown_labels()
            unsure.update(uncertain)
    _without_split(views, {row["dicom_id"] for row in rows}, split, problems)
    notes = [*notes_of(policy, blank, unsure), f"{silent} images are of studies without labels"]
    if len(tables) > 1:
        notes.append("where the labellers differ, a label is unknown")
    return Reading("MIMIC-CXR", (), tuple(records), (*tables, split, metadata), tuple(notes))


def _studies(table: Path, policy: Policy, blank: Unclear, problems: Problems) -> dict[str, _Told]:
    found: dict[str, _Told] = {}
    for row in watched(list(read_rows(table, (*STUDY, *COLUMNS), problems)), table.name):
        with problems.at(row.place, None):
            subject, study = _numbers(row)
            first = found.setdefault(study, _told(row, subject, policy, blank))
            if first.place != row.place:
                problems.add(Kind.DUPLICATE, row.place, f"the same study as in {first.place}", None)
    return found


def _told(row: Row, subject: str, policy: Policy, blank: Unclear) -> _Told:
    """What is wrong is told of each image of the study, so that these can be left out."""
    try:
        labels, unsure = labels_of(row, policy, blank)
    except Damaged as error:
        return _Told(row.place, subject, unknown_labels(), problem=str(error))
    return _Told(row.place, subject, labels, tuple(unsure))


def _together(row: Row, tables: Sequence[Mapping[str, _Told]]) -> tuple[Labels, tuple[str, ...]]:
    """Labels of an image's study by all labellers; unknown where they differ or none says anything."""
    subject, study = _numbers(row)
    told = [table[study] for table in tables if study in table]
    for each in told:
        if each.subject != subject:
            raise Damaged(f"study {study} is of another subject in {each.place}")
        if each.problem:
            raise Damaged(f"labels of study {study} in {each.place}: {each.problem}")
    if not told:
        return unknown_labels(), ()
    first, *others = told
    labels = {
        name: value if all(other.labels[name] == value for other in others) else None
        for name, value in first.labels.items()
    }
    return labels, tuple(dict.fromkeys(name for each in told for name in each.unsure))


def _views(metadata: Path, problems: Problems) -> dict[str, tuple[Place, str]]:
    """View Position of every image, and where it stands."""
    found: dict[str, tuple[Place, str]] = {}
    for row in watched(list(read_rows(metadata, METADATA, problems)), metadata.name):
        with problems.at(row.place, row["dicom_id"] or None):
            name = row.needed("dicom_id")
            first, _ = found.setdefault(name, (row.place, row["ViewPosition"].upper()))
            if first != row.place:
                problems.add(Kind.DUPLICATE, row.place, f"the same image as in {first}", name)
    return found


def _record(
    row: Row,
    labels: Labels,
    unsure: Sequence[str],
    views: Mapping[str, tuple[Place, str]],
    images: ImageFolder,
    *,
    own_split: bool,
) -> Record:
    name = row.needed("dicom_id")
    subject, study = _numbers(row)
    if name not in views:
        raise Damaged(f"image '{name}' has no row in the metadata")
    view = views[name][1]
    own = str(row.one_of("split", OWN))
    return Record(
        key=name,
        image=_image(f"files/p{subject[:2]}/p{subject}/s{study}/{name}", images),
        patient=f"p{subject}",
        place=row.place,
        labels=labels,
        view=VIEWS.get(view, view),
        boxed=False,
        pool=(own,) if own_split else SPLITS,
        more={"study": f"s{study}", "uncertain": [*unsure]},
    )


def _image(stem: str, images: ImageFolder) -> str:
    """The image of a path without its end: JPG of MIMIC-CXR-JPG, or DICOM of MIMIC-CXR."""
    for ending in ENDINGS:
        try:
            return images.find_path(f"{stem}{ending}")
        except Damaged:
            continue
    raise Damaged(f"image '{stem}' ({', '.join(ENDINGS)}) is not below {images.root}", Kind.MISSING)


def _numbers(row: Row) -> tuple[str, str]:
    """Subject and study, eight digits each."""
    for column in STUDY:
        if not NUMBER.fullmatch(row[column]):
            raise Damaged(f"'{column}' is '{row[column]}', expected eight digits such as 10000032")
    return row["subject_id"], row["study_id"]


def _without_split(views: Mapping[str, tuple[Place, str]], listed: set[str], split: Path, problems: Problems) -> None:
    for name, (place, _) in views.items():
        if name not in listed:
            problems.add(Kind.DAMAGED, place, f"image '{name}' has no row in {split}", name)
