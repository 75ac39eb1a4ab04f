"""Radiographs of a datalist, checked before training begins: everything wrong is named at once.

A datalist is JSON with the sections `training`, `validation` and `test`, each a list of
`{"image": path, "boxes": [[x0, y0, x1, y1], …], "classes": [0 | 1, …], "labels": {"lesion": 0 | 1 | null, …},
"patient": name, "boxed": true | false}`. Boxes are edges in pixels of the source image, x to the right, y down. Images
without boxes belong in it. `boxed` is false where something present has no box; it may be left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from bundles.chest_radiograph.scripts.network import CLASSES
from bundles.common.boxes.geometry import as_boxes, inside_image
from bundles.common.headers import UnreadableImage
from bundles.common.outline import outline

log = structlog.get_logger()

SECTIONS = ("training", "validation", "test")
SHOWN = 20
Item = dict[str, Any]


def load_radiographs(datalist: str, section: str, image_dir: str = "", limit: int = 0) -> list[Item]:
    """Items of one section, with absolute paths.

    An item whose labels are all unknown and that has no box teaches nothing; such are left out and counted in the log.

    Args:
        datalist: The file; see the module.
        section: One of `SECTIONS`.
        image_dir: Folder that paths are relative to; empty takes the datalist's own.
        limit: Take only so many; 0 takes all.

    Returns:
        `{"image": absolute path, "name": path as written, "patient", "boxes", "classes", "boxed",
        "labels": [0.0, 1.0 or NaN, one for each of CLASSES]}`.

    Raises:
        ValueError: The file or the section is missing or empty; or, all named together: images that are missing,
            patients in two sections, boxes without area or outside of their image, labels that contradict boxes.
    """
    path = Path(datalist)
    if not path.is_file():
        raise ValueError(
            f"{path} is missing; write one with bundles.chest_radiograph.scripts.datasets, or give --datalist"
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = content.get(section) or []
    if not rows:
        raise ValueError(f"{path} has no images in '{section}'")
    folder = Path(image_dir) if image_dir else path.parent
    items, problems = _items(rows[: limit or None], folder)
    _refuse([*_shared_patients(content), *problems], path)
    known = [item for item in items if item["boxes"] or not all(math.isnan(label) for label in item["labels"])]
    if len(known) < len(items):
        log.warning("unlabelled_left_out", section=section, images=len(items) - len(known), of=len(items))
    return known


def _items(rows: Sequence[Mapping[str, Any]], folder: Path) -> tuple[list[Item], list[str]]:
    items, problems = [], []
    for row in rows:
        try:
            items.append(_item(row, folder))
        except (ValueError, KeyError, UnreadableImage) as error:
            problems.append(f"{row.get('image')}: lacks {error}" if isinstance(error, KeyError) else str(error))
    return items, problems


def _item(row: Mapping[str, Any], folder: Path) -> Item:
    name = str(row["image"])
    image = (folder / name).resolve()
    if not image.is_file():
        raise ValueError(f"{name}: no such image below {folder}")
    classes = [int(each) for each in row["classes"]]
    boxes = as_boxes(row["boxes"], name)
    if len(classes) != len(boxes) or not set(classes) <= set(range(len(CLASSES))):
        raise ValueError(
            f"{name}: {len(boxes)} boxes with classes {classes}; expected one of 0 to {len(CLASSES) - 1} each"
        )
    if len(boxes):
        found = outline(image)
        if found is None:
            raise ValueError(f"{name}: not an image")
        inside_image(boxes, found.shape[1], found.shape[2], name)
    return {
        "image": str(image),
        "name": name,
        "patient": str(row["patient"]),
        "boxes": boxes.tolist(),
        "classes": classes,
        "boxed": bool(row.get("boxed", True)),
        "labels": _labels(row, classes, name),
    }


def _labels(row: Mapping[str, Any], classes: Sequence[int], name: str) -> list[float]:
    labels = []
    for index, finding in enumerate(CLASSES):
        label = row["labels"].get(finding)
        if label not in {0, 1, None}:
            raise ValueError(f"{name}: label of {finding} is {label!r}, expected 0, 1 or null")
        if label == 0 and index in classes:
            raise ValueError(f"{name}: has a box of {finding}, and its label says that there is none")
        labels.append(1.0 if index in classes else math.nan if label is None else float(label))
    return labels


def _shared_patients(content: Mapping[str, Any]) -> list[str]:
    """Sentences about patients in more than one section."""
    where: dict[str, set[str]] = {}
    for section in SECTIONS:
        for row in content.get(section) or []:
            where.setdefault(str(row.get("patient")), set()).add(section)
    return [
        f"patient '{patient}' is in {' and '.join(sorted(sections))}: a test must not know whom the training saw"
        for patient, sections in where.items()
        if len(sections) > 1
    ]


def _refuse(problems: Sequence[str], path: Path) -> None:
    if not problems:
        return
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    raise ValueError("\n  ".join([f"{path}: {len(problems)} problems", *problems[:SHOWN], *more]))
