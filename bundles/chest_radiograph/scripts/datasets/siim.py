"""SIIM-ACR pneumothorax: `train-rle.csv`, ImageId and ` EncodedPixels` (with a space), -1 for none.

One row is one pneumothorax; both sides have two. Patient and view come from the DICOM headers.
"""

from collections import defaultdict
from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.rle import box_of, decode
from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, PNEUMOTHORAX
from bundles.common.datalist.boxes import Edges
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.tables import Row, read_rows

NONE = "-1"


def read(csv: Path, images: ImageFolder, problems: Problems) -> Reading:
    """Read the set.

    Args:
        csv: `train-rle.csv` or the second stage's.
        images: DICOM files (or pictures of the same size) named by ImageId.
        problems: Receives what is wrong.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in read_rows(csv, ("ImageId", "EncodedPixels"), problems):
        with problems.at(row.place, row["ImageId"] or None):
            row.needed("EncodedPixels")
            _add(rows[row.needed("ImageId")], row, problems)
    records, nameless = [], 0
    for image, lines in watched(rows.items(), "images", len(rows)):
        with problems.at(lines[0].place, image):
            record = _record(image, lines, images, problems)
            records.append(record)
            nameless += record.patient == image
    listed = {record.image for record in records}
    notes = [f"{sum(file not in listed for file in images.files)} images have no row"]
    if nameless:
        notes.append(f"{nameless} images tell no patient: each counts as one person's")
    return Reading("SIIM-ACR", CLASSES, tuple(records), (csv,), tuple(notes))


def _add(lines: list[Row], row: Row, problems: Problems) -> None:
    for other in lines:
        if other["EncodedPixels"] == row["EncodedPixels"]:
            problems.add(Kind.DUPLICATE, row.place, f"the same as {other.place}", row["ImageId"])
            return
        if NONE in (other["EncodedPixels"], row["EncodedPixels"]):
            raise Damaged(f"the image has a pneumothorax and none (-1): see {other.place}")
    lines.append(row)


def _record(image: str, lines: list[Row], images: ImageFolder, problems: Problems) -> Record:
    relative = images.find(image)
    header = images.header(relative)
    boxes: list[Edges] = []
    for row in lines:
        if row["EncodedPixels"] != NONE:
            with problems.at(row.place, image):
                boxes.append(box_of(decode(row["EncodedPixels"], header.size)))
    return Record(
        key=image,
        image=relative,
        patient=header.patient or image,
        place=lines[0].place,
        boxes=tuple(boxes),
        classes=(PNEUMOTHORAX,) * len(boxes),
        labels={"lesion": None, "pneumothorax": int(bool(boxes))},
        view=header.view or None,
    )
