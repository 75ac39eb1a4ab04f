"""Chest radiographs of a datalist (`bundles.common.radiograph.datalist`), checked before training begins.

Of its rows `classes` are 0 for a lesion and 1 for a pneumothorax, and `boxed` is false where something present has no
box; it may be left out. Images without boxes belong in it.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import structlog

from bundles.chest_radiograph.scripts.network import CLASSES
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

log = structlog.get_logger()


def load_radiographs(datalist: str, section: str, image_dir: str = "", limit: int = 0) -> list[Item]:
    """Items of one section, with absolute paths.

    An item whose labels are all unknown and that has no box teaches nothing; such are left out and counted in the log.

    Args:
        datalist: The file; see the module.
        section: `training`, `validation` or `test`.
        image_dir: Folder that paths are relative to; empty takes the datalist's own.
        limit: Take only so many; 0 takes all.

    Returns:
        `{"image": absolute path, "name": path as written, "patient", "boxes", "classes", "boxed",
        "labels": [0.0, 1.0 or NaN, one for each of CLASSES]}`.

    Raises:
        ValueError: The file or the section is missing or empty, or its labels are of other findings; or, all named
            together: images that are missing, patients in two sections, boxes without area or outside of their image,
            labels that contradict boxes.
    """
    content = read_datalist(datalist, "chest_radiograph")
    expect_findings(content, section, datalist, CLASSES)
    items = checked_items(content, section, datalist, _item, image_dir=image_dir, limit=limit)
    known = [item for item in items if item["boxes"] or not all(math.isnan(label) for label in item["labels"])]
    if len(known) < len(items):
        log.warning("unlabelled_left_out", section=section, images=len(items) - len(known), of=len(items))
    return known


def _item(row: Row, folder: Path) -> Item:
    name, image = str(row["image"]), image_file(row, folder)
    boxes, classes = sound_boxes(row, image)
    if not set(classes) <= set(range(len(CLASSES))):
        raise ValueError(
            f"{name}: {len(boxes)} boxes with classes {classes}; expected one of 0 to {len(CLASSES) - 1} each"
        )
    return {
        "image": str(image),
        "name": name,
        "patient": str(row["patient"]),
        "boxes": boxes.tolist(),
        "classes": classes,
        "boxed": bool(row.get("boxed", True)),
        "labels": _labels(row, classes, name),
    }


def _labels(row: Row, classes: Sequence[int], name: str) -> list[float]:
    labels = []
    for index, finding in enumerate(CLASSES):
        label = label_of(row, finding)
        if label == 0 and index in classes:
            raise ValueError(f"{name}: has a box of {finding}, and its label says that there is none")
        labels.append(1.0 if index in classes else math.nan if label is None else float(label))
    return labels
