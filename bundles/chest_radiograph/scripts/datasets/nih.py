"""NIH ChestX-ray14 as downloaded: `Data_Entry_2017.csv` (or v2020), `BBox_List_2017.csv`, `test_list.txt`."""

from collections.abc import Mapping
from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.nih_findings import Drawn, boxes_by_image, truth
from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, Targets
from bundles.common.datalist.boxes import Edges, inside
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Kind, Place, Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph.nih import (
    ENTRY,
    VIEWS,
    entry_age,
    entry_patient,
    findings_of,
    note_unlisted,
    pool_of,
    read_test_list,
)

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
    test = read_test_list(test_list)
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
    patient = entry_patient(row)
    findings = findings_of(row["Finding Labels"])
    view = row.one_of("View Position", VIEWS)
    relative = images.find(image)
    known = truth(findings, _checked(image, relative, drawn.get(image, []), images, problems), targets)
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
        pool=pool_of(image, test),
        more={"findings": list(findings), "sex": row["Patient Gender"], "age": entry_age(row)},
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
    note_unlisted(listed, test, test_list, problems)
