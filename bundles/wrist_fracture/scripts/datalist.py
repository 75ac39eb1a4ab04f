"""Wrist radiographs of a datalist (`bundles.common.radiograph.datalist`), checked before training begins.

Boxes are not needed for training; where the fracture has some, an evaluation asks whether Grad-CAM points at them. The
numbers of their classes are named by `"classes"` of the datalist; without it, 0 is the fracture.
"""

from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bundles.common.radiograph.datalist import (
    Item,
    Row,
    checked_items,
    expect_findings,
    image_file,
    label_of,
    read_datalist,
    sound_boxes,
)
from bundles.wrist_fracture.scripts.network import FINDING

log = structlog.get_logger()


def load_wrists(datalist: str, section: str, image_dir: str = "", limit: int = 0, finding: str = FINDING) -> list[Item]:
    """Items of one section, with absolute paths.

    An image of unknown label teaches nothing; such are left out and counted in the log.

    Args:
        datalist: The file.
        section: `training`, `validation` or `test`.
        image_dir: Folder that paths are relative to; empty takes the datalist's own.
        limit: Take only so many; 0 takes all.
        finding: The label to learn: "fracture", or MURA's "abnormal".

    Returns:
        `{"image": absolute path, "name": path as written, "patient", "label": 0.0 or 1.0, "boxes" of the finding}`.

    Raises:
        ValueError: The file or the section is missing or empty, or no label is known; or, all named together: images
            that are missing, patients in two sections, boxes without area or outside of their image, labels that
            contradict boxes.
    """
    content = read_datalist(datalist, "wrist_fracture")
    expect_findings(content, section, datalist, (finding,))
    item_of = partial(_item, finding=finding, kind=_kind(content, finding))
    items = checked_items(content, section, datalist, item_of, image_dir=image_dir, limit=limit)
    known = [item for item in items if item["label"] is not None]
    if len(known) < len(items):
        log.warning("unlabelled_left_out", section=section, images=len(items) - len(known), of=len(items))
    if not known:
        raise ValueError(f"{datalist}: nobody says of any image in '{section}' whether it shows '{finding}'")
    return known


def _item(row: Row, folder: Path, finding: str, kind: int | None) -> Item:
    name, image, label = str(row["image"]), image_file(row, folder), label_of(row, finding)
    boxes, classes = sound_boxes(row, image)
    own = [box for box, number in zip(boxes.tolist(), classes, strict=True) if number == kind]
    if own and label == 0:
        raise ValueError(f"{name}: has a box of {finding}, and its label says that there is none")
    known = 1.0 if own else None if label is None else float(label)
    return {"image": str(image), "name": name, "patient": str(row["patient"]), "label": known, "boxes": own}


def _kind(content: dict[str, Any], finding: str) -> int | None:
    """The number of the finding's boxes; None where the set draws none of it."""
    names = content.get("classes", {"0": FINDING})
    return next((int(number) for number, name in names.items() if name == finding), None)
