"""VinBigData / VinDr-CXR: `train.csv`, a row for each box of each reader.

Nguyen et al., Sci. Data 9 (2022) 429. All radiographs are PA; the set does not tell patients, so each image counts as
one person's. Boxes are in pixels of the DICOM images; pictures made smaller do not fit.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, Targets
from bundles.common.datalist.boxes import Edges, inside
from bundles.common.datalist.fusion import Mark, Merging, merge
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.tables import Row, read_rows

FINDINGS = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "No finding",
)
NO_FINDING = "No finding"
EDGES = ("x_min", "y_min", "x_max", "y_max")
COLUMNS = ("image_id", "class_name", "class_id", "rad_id", *EDGES)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One row: what a reader found, and where unless it is nothing."""

    place: Place
    reader: str
    finding: str
    edges: Edges | None


def read(csv: Path, images: ImageFolder, targets: Targets, merging: Merging, problems: Problems) -> Reading:
    """Read the set.

    Args:
        csv: `train.csv`.
        images: DICOM files or pictures of the same size, named by `image_id`.
        targets: Which findings are lesions and pneumothoraces.
        merging: How boxes of several readers become one.
        problems: Receives what is wrong.
    """
    rows = _rows(csv, problems)
    records = []
    for image, readings in watched(rows.items(), "images", len(rows)):
        with problems.at(readings[0].place, image):
            records.append(_record(image, readings, images, targets=targets, merging=merging, problems=problems))
    note = "the set tells no patients: each image counts as one person's"
    return Reading("VinBigData", CLASSES, tuple(records), (csv,), (note,))


def _rows(csv: Path, problems: Problems) -> dict[str, list[_Reading]]:
    rows: dict[str, list[_Reading]] = defaultdict(list)
    seen: dict[tuple[str, str, str, Edges | None], Place] = {}
    for row in read_rows(csv, COLUMNS, problems):
        with problems.at(row.place, row["image_id"] or None):
            image, reading = row.needed("image_id"), _reading(row)
            key = (image, reading.reader, reading.finding, reading.edges)
            first = seen.setdefault(key, row.place)
            if first is row.place:
                rows[image].append(reading)
            else:
                problems.add(Kind.DUPLICATE, row.place, f"the same reader's same mark as in {first}", image)
    return rows


def _reading(row: Row) -> _Reading:
    number, finding = row.number("class_id"), row["class_name"]
    if number not in range(len(FINDINGS)) or FINDINGS[int(number)] != finding:
        raise Damaged(f"class_id {row['class_id']} is not '{finding}'; 'class_name' and 'class_id' do not fit")
    empty = [name for name in EDGES if not row[name]]
    if finding == NO_FINDING:
        if len(empty) < len(EDGES):
            raise Damaged("'No finding' with a box")
        return _Reading(row.place, row.needed("rad_id"), finding, None)
    if empty:
        raise Damaged(f"'{finding}' without a box: '{empty[0]}' is empty")
    x0, y0, x1, y1 = (row.number(name) for name in EDGES)
    return _Reading(row.place, row.needed("rad_id"), finding, (x0, y0, x1, y1))


def _record(
    image: str, readings: list[_Reading], images: ImageFolder, *, targets: Targets, merging: Merging, problems: Problems
) -> Record:
    relative = images.find(image)
    header = images.header(relative)
    _no_contradiction(readings, image, problems)
    marks: dict[int, list[Mark]] = defaultdict(list)
    for reading in readings:
        if reading.edges is None:
            continue
        with problems.at(reading.place, image):
            edges = inside(reading.edges, header.size)
            for number in targets.of([reading.finding]):
                marks[number].append(Mark(reading.reader, edges))
    readers = len({reading.reader for reading in readings})
    votes = {number: len({mark.reader for mark in marks[number]}) for number in range(len(CLASSES))}
    fused = [(number, box) for number in sorted(marks) for box in merge(marks[number], readers, merging)]
    labels = {name: _label(votes[number], merging.needed(readers)) for number, name in enumerate(CLASSES)}
    found = {number for number, _ in fused}
    return Record(
        key=image,
        image=relative,
        patient=image,
        place=readings[0].place,
        boxes=tuple(box.edges for _, box in fused),
        classes=tuple(number for number, _ in fused),
        labels=labels,
        view=header.view or "PA",
        boxed=all(
            (labels[name] == 1) == (number in found) and labels[name] is not None for number, name in enumerate(CLASSES)
        ),
        more={
            "readers": readers,
            "votes": {name: votes[number] for number, name in enumerate(CLASSES)},
            "shares": [box.share for _, box in fused],
            "findings": list(dict.fromkeys(r.finding for r in readings if r.finding != NO_FINDING)),
        },
    )


def _no_contradiction(readings: list[_Reading], image: str, problems: Problems) -> None:
    marked = {reading.reader for reading in readings if reading.finding != NO_FINDING}
    for reading in readings:
        if reading.finding == NO_FINDING and reading.reader in marked:
            words = f"reader {reading.reader} says 'No finding' and marks one on the same image"
            problems.add(Kind.DAMAGED, reading.place, words, image)


def _label(votes: int, needed: int) -> int | None:
    if votes >= needed:
        return 1
    return None if votes else 0
