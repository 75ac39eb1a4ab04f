"""NIH ChestX-ray14 as downloaded: `Data_Entry_2017.csv` (or v2020), `BBox_List_2017.csv`, `test_list.txt`."""

from collections.abc import Mapping
from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.nih_findings import (
    VIEWS,
    Drawn,
    boxes_by_image,
    findings_of,
    patient_of,
    truth,
)
from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, Targets
from bundles.common.datalist.boxes import Edges, inside
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Reading, Record
from bundles.common.datalist.tables import Row, read_rows, read_text

ENTRY = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
BOX = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")  # one heading with commas in it
DRAWN_ON = 1024  # boxes are in pixels of the published 1024² images


def read(
    entries: Path,
    boxes: Path | None,
    images: ImageFolder,
    targets: Targets,
    problems: Problems,
    *,
    test_list: Path | None = None,
) -> Reading:
    """Read the set.

    Args:
        entries: `Data_Entry_2017.csv`.
        boxes: `BBox_List_2017.csv`; None for labels alone.
        images: The PNG files, 1024² or scaled as a whole; boxes follow the scale.
        targets: Which findings are lesions and pneumothoraces.
        problems: Receives what is wrong.
        test_list: `test_list.txt`: those images are test, the others training or validation by hash. None splits all
            patients by hash.
    """
    drawn = {} if boxes is None else boxes_by_image(read_rows(boxes, BOX, problems), BOX, problems)
    test = None if test_list is None else _names(test_list)
    records = []
    rows = list(read_rows(entries, ENTRY, problems))
    for row in watched(rows, "images", len(rows)):
        with problems.at(row.place, row["Image Index"] or None):
            records.append(_record(row, drawn, images, targets, problems, test=test))
    _all_known({row["Image Index"]: row.place for row in rows}, drawn, test, test_list, problems)
    files = tuple(file for file in (entries, boxes, test_list) if file is not None)
    return Reading("NIH ChestX-ray14", CLASSES, tuple(records), files, ("labels are mined from reports",))


def _record(
    row: Row,
    drawn: Mapping[str, list[Drawn]],
    images: ImageFolder,
    targets: Targets,
    problems: Problems,
    *,
    test: Mapping[str, Place] | None,
) -> Record:
    image = row.needed("Image Index")
    patient = patient_of(image)
    if row["Patient ID"].lstrip("0") != patient:
        raise Damaged(f"'Patient ID' is '{row['Patient ID']}', and the image's name says {patient}")
    findings = findings_of(row["Finding Labels"])
    view = row.one_of("View Position", VIEWS)
    relative = images.find(image)
    known = truth(findings, _checked(image, relative, drawn.get(image, []), images, problems), targets)
    pool = SPLITS if test is None else ((TEST,) if image in test else (TRAINING, VALIDATION))
    return Record(
        key=image,
        image=relative,
        patient=patient,
        place=row.place,
        boxes=known.boxes,
        classes=known.classes,
        labels=known.labels,
        view=str(view),
        boxed=known.boxed,
        pool=pool,
        more={"findings": list(findings), "sex": row["Patient Gender"], "age": _age(row)},
    )


def _checked(
    image: str, relative: str, drawn: list[Drawn], images: ImageFolder, problems: Problems
) -> list[tuple[str, Edges]]:
    if not drawn:
        return []
    columns, rows = images.header(relative).size
    right, down = columns / DRAWN_ON, rows / DRAWN_ON
    checked = []
    for box in drawn:
        with problems.at(box.place, image):
            x0, y0, x1, y1 = inside(box.edges, (DRAWN_ON, DRAWN_ON))
            checked.append((box.finding, (x0 * right, y0 * down, x1 * right, y1 * down)))
    return checked


def _age(row: Row) -> int:
    text = row["Patient Age"].removesuffix("Y")
    if not text.isdecimal():
        raise Damaged(f"'Patient Age' is '{row['Patient Age']}', expected years such as 58 or 058Y")
    return int(text)


def _names(path: Path) -> dict[str, Place]:
    lines = [line.strip() for line in read_text(path).split("\n")]
    names = {line: Place(path, number) for number, line in enumerate(lines, start=1) if line}
    if not names:
        raise DatalistError(f"{path}: the list is empty")
    return names


def _all_known(
    listed: Mapping[str, Place],
    drawn: Mapping[str, list[Drawn]],
    test: Mapping[str, Place] | None,
    test_list: Path | None,
    problems: Problems,
) -> None:
    for image, boxes in drawn.items():
        if image not in listed:
            problems.add(Kind.DAMAGED, boxes[0].place, f"a box for '{image}', which has no row among the labels", image)
    for image, place in (test or {}).items():
        if image not in listed:
            words = f"'{image}' of {test_list} has no row among the labels"
            problems.add(Kind.DAMAGED, place, words, image)
