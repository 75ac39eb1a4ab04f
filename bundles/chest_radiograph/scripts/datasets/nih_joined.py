"""NIH radiographs with labels and boxes joined: `labels.csv` and `boxes.csv` in pixels of the pictures beside them.

`google_pneumothorax` and `google_nodule_or_mass` are radiologists' adjudicated labels for a part of the images
(Majkowska et al., Radiology 294 (2020) 421); they stand over the labels mined from reports. Where they deny what has a
box, the label is unknown and the box left out.
"""

from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.nih_findings import Drawn, boxes_by_image, truth
from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, Targets
from bundles.common.datalist.boxes import Edges, inside
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph.nih import VIEWS, findings_of, patient_of

ADJUDICATED = {"pneumothorax": "google_pneumothorax", "lesion": "google_nodule_or_mass"}
ANSWERS: dict[str, str | int | None] = {"": None, "YES": 1, "NO": 0}
LABEL = ("image", "patient_id", "age", "sex", "view", "findings", *ADJUDICATED.values())
BOX = ("image", "finding", "x", "y", "width", "height")


def read(labels: Path, boxes: Path | None, images: ImageFolder, targets: Targets, problems: Problems) -> Reading:
    """Read the set.

    Args:
        labels: `labels.csv`.
        boxes: `boxes.csv`; None for labels alone.
        images: The pictures.
        targets: Which findings are lesions and pneumothoraces.
        problems: Receives what is wrong.
    """
    drawn = {} if boxes is None else boxes_by_image(read_rows(boxes, BOX, problems), BOX, problems)
    records = []
    rows = list(read_rows(labels, LABEL, problems))
    for row in watched(rows, "images", len(rows)):
        with problems.at(row.place, row["image"] or None):
            records.append(_record(row, drawn.get(row["image"], []), images, targets, problems))
    listed = {row["image"] for row in rows}
    for image, marks in drawn.items():
        if image not in listed:
            problems.add(Kind.DAMAGED, marks[0].place, f"a box for '{image}', which has no row among the labels", image)
    files = (labels,) if boxes is None else (labels, boxes)
    note = "labels are mined from reports, except for those that radiologists adjudicated"
    return Reading("NIH ChestX-ray14, joined", CLASSES, tuple(records), files, (note,))


def _record(row: Row, drawn: list[Drawn], images: ImageFolder, targets: Targets, problems: Problems) -> Record:
    image = row.needed("image")
    patient = patient_of(image)
    if row["patient_id"] != patient:
        raise Damaged(f"'patient_id' is '{row['patient_id']}', and the image's name says {patient}")
    findings, relative = findings_of(row["findings"]), images.find(image)
    size = images.header(relative).size if drawn else (0, 0)
    checked: list[tuple[str, Edges]] = []
    for box in drawn:
        with problems.at(box.place, image):
            checked.append((box.finding, inside(box.edges, size)))
    known = truth(findings, checked, targets)
    answers = {name: row.one_of(column, ANSWERS) for name, column in ADJUDICATED.items()}
    labels = {name: known.labels[name] if answers[name] is None else int(str(answers[name])) for name in CLASSES}
    kept = [pair for pair in zip(known.boxes, known.classes, strict=True) if labels[CLASSES[pair[1]]]]
    disputed = {CLASSES[number] for number in known.classes if not labels[CLASSES[number]]}
    return Record(
        key=image,
        image=relative,
        patient=patient,
        place=row.place,
        boxes=tuple(box for box, _ in kept),
        classes=tuple(number for _, number in kept),
        labels={name: None if name in disputed else label for name, label in labels.items()},
        view=str(row.one_of("view", VIEWS)),
        boxed=not disputed and {CLASSES[number] for _, number in kept} == {name for name in CLASSES if labels[name]},
        more={
            "findings": list(findings),
            "adjudicated": [name for name in CLASSES if answers[name] is not None],
            "sex": row["sex"],
            "age": int(row.number("age")),
        },
    )
