"""Chest radiographs of a datalist (`bundles.common.radiograph.datalist`) with labels of whole images.

What a configuration asks for is chosen here: the classes, the part of the labels, the setting.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bundles.chest_classification.scripts.findings import NORMAL, checked_classes
from bundles.chest_classification.scripts.settings import Setting, balanced, images_of_setting
from bundles.chest_classification.scripts.task import Task
from bundles.common.datalist.fractions import label_fraction
from bundles.common.radiograph.datalist import Item, Row, checked_items, image_file, label_of, read_datalist

log = structlog.get_logger()

TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a section is taken.

    Attributes:
        fraction: Of the patients of the training, stratified; other sections are whole whatever it is.
        setting: Of CheSS, for training with one class of several; see `settings`.
        per_class: Of other sections so many images of each class; 0 takes all.
        seed: Of fraction, setting and per_class.
    """

    fraction: float = 1.0
    setting: str = Setting.FULL.value
    per_class: int = 0
    seed: int = 0


def load_chests(  # noqa: PLR0917  # configurations name what they give by place
    datalist: str,
    section: str,
    classes: Sequence[str],
    task: str,
    image_dir: str = "",
    limit: int = 0,
    choice: Mapping[str, Any] | None = None,
) -> list[Item]:
    """Items of one section, with absolute paths.

    With `multi_class` an image belongs to a class where it alone is present and all others are known to be absent;
    "normal" is an image on which every label is known and none is present, or that is labelled so. All others, and with
    `multi_label` those of which nothing is known, are left out and counted in the log.

    Args:
        datalist: The file.
        section: `training`, `validation` or `test`.
        classes: Names of `findings.FINDINGS`, in the order of the network's outputs.
        task: `multi_label` or `multi_class`.
        image_dir: Folder that paths are relative to; empty takes the datalist's own.
        limit: Take only so many; 0 takes all.
        choice: Of `Choice`, by name.

    Returns:
        `{"image": absolute path, "name": path as written, "patient", "labels": [0.0, 1.0 or NaN, one a class]}`.

    Raises:
        ValueError: The file or section is missing or empty; nothing is told of a class; a fraction or setting leaves a
            class empty; or, all named together, images that are missing and patients in two sections.
    """
    how, chosen = Task.parse(task), Choice(**(choice or {}))
    names = checked_classes(classes, multi_class=how is Task.MULTI_CLASS)
    setting = Setting.parse(chosen.setting)
    if how is Task.MULTI_LABEL and (setting is not Setting.FULL or chosen.per_class):
        raise ValueError("setting and per_class count images of one class each: they need task multi_class")
    content = read_datalist(datalist, "chest_classification")
    _expect_told(content, section, datalist, names)
    reader = _item_of_class if how is Task.MULTI_CLASS else _item_of_labels
    every = checked_items(
        content, section, datalist, lambda row, folder: reader(row, folder, names), image_dir=image_dir, limit=limit
    )
    items = _of_use(every, section)
    if not items:
        raise ValueError(f"{datalist}: of no image in '{section}' is it known which of {', '.join(names)} it shows")
    if section == TRAINING:
        items = _taught(items, names, how, setting, chosen)
    elif chosen.per_class:
        items = [items[place] for place in balanced(_numbers(items), chosen.per_class, names, seed=chosen.seed)]
    _log_counts(items, section, names)
    return items


def class_of(labels: Mapping[str, int | None], classes: Sequence[str]) -> int | str:
    """The one class of an image, or why it has none: `several`, `unknown` or `other`."""
    present = [number for number, name in enumerate(classes) if name != NORMAL and labels.get(name) == 1]
    if len(present) > 1 or (present and labels.get(NORMAL) == 1):
        return "several"
    if present:
        others = [name for number, name in enumerate(classes) if name != NORMAL and number != present[0]]
        return present[0] if all(labels.get(name) == 0 for name in others) else "unknown"
    if NORMAL not in classes:
        return "other"
    if labels.get(NORMAL) == 1:
        return list(classes).index(NORMAL)
    findings = {name: value for name, value in labels.items() if name != NORMAL}
    if labels.get(NORMAL) == 0 or 1 in findings.values():
        return "other"
    wanted = [name for name in classes if name != NORMAL]
    sure = all(findings.get(name) == 0 for name in wanted) and None not in findings.values()
    return list(classes).index(NORMAL) if sure else "unknown"


def _item_of_labels(row: Row, folder: Path, names: Sequence[str]) -> Item:
    labels = [label_of(row, name) for name in names]
    known = [math.nan if label is None else float(label) for label in labels]
    why = "unknown" if all(math.isnan(label) for label in known) else ""
    return {**_image(row, folder), "labels": known, "left_out": why}


def _item_of_class(row: Row, folder: Path, names: Sequence[str]) -> Item:
    told = {name: label_of(row, name) for name in row["labels"]}
    found = class_of(told, names)
    labels = [float(number == found) for number in range(len(names))]
    return {**_image(row, folder), "labels": labels, "left_out": found if isinstance(found, str) else ""}


def _image(row: Row, folder: Path) -> Item:
    return {"image": str(image_file(row, folder)), "name": str(row["image"]), "patient": str(row["patient"])}


def _of_use(items: Sequence[Item], section: str) -> list[Item]:
    reasons = Counter(item["left_out"] for item in items if item["left_out"])
    if reasons:
        log.warning("left_out", section=section, of=len(items), **reasons)
    kept = [item for item in items if not item["left_out"]]
    return [{key: value for key, value in item.items() if key != "left_out"} for item in kept]


def _taught(items: list[Item], names: Sequence[str], how: Task, setting: Setting, chosen: Choice) -> list[Item]:
    places = label_fraction(
        [item["patient"] for item in items],
        [item["labels"] for item in items],
        chosen.fraction,
        seed=chosen.seed,
        names=names,
    )
    part = [items[place] for place in places]
    if how is Task.MULTI_LABEL:
        return part
    return [part[place] for place in images_of_setting(_numbers(part), setting, names, seed=chosen.seed)]


def _numbers(items: Sequence[Item]) -> list[int]:
    return [item["labels"].index(1.0) for item in items]


def _log_counts(items: Sequence[Item], section: str, names: Sequence[str]) -> None:
    counts = {name: sum(item["labels"][place] == 1 for item in items) for place, name in enumerate(names)}
    patients = len({item["patient"] for item in items})
    log.info("chests_loaded", section=section, images=len(items), patients=patients, **counts)


def _expect_told(content: Mapping[str, Any], section: str, datalist: str, names: Sequence[str]) -> None:
    rows = [row for row in content.get(section) or [] if isinstance(row, Mapping)]
    told = {
        name
        for row in rows
        if isinstance(row.get("labels"), Mapping)
        for name, value in row["labels"].items()
        if value is not None
    }
    silent = [name for name in names if name != NORMAL and name not in told]
    if rows and silent:
        raise ValueError(
            f"{datalist}: nothing in '{section}' is told of {', '.join(silent)}; its labels are of "
            f"{', '.join(sorted(told)) or 'nothing'}. Take classes that the source has (docs/README.md, Sources)"
        )
