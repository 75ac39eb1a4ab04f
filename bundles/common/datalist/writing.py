"""The datalist as JSON for MONAI, and its counts as a table for people."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from bundles.common.datalist.assemble import Datalist
from bundles.common.datalist.records import SPLITS, Plain, Record, VolumeRecord

Word = TypeVar("Word", str, str | None)
PATHS = ("image", "mask")
WORDS = {1: "present", 0: "absent", None: "unknown"}


def write_datalist(datalist: Datalist, path: Path) -> None:
    """Write `{"training": […], "validation": […], "test": […]}` with name, classes and hashes of the label files.

    `monai.data.load_decathlon_datalist` reads it; paths are relative to the folder of images. The file is whole or not
    there. Paths of volumes (`Reading.root`) are relative to the datalist's folder instead, and may lead out of it.
    """
    reading = datalist.reading
    content = {
        "name": reading.name,
        "classes": dict(enumerate(reading.classes)),
        "label_files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in reading.files},
        "notes": list(datalist.notes),
        **{
            split: [_rebased(record.item(), reading.root, path.parent) for record in datalist.splits[split]]
            for split in SPLITS
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _rebased(item: dict[str, Plain], root: Path | None, folder: Path) -> dict[str, Plain]:
    """Write the paths of a volume relative to the datalist's folder; `root / path` leaves an absolute path alone."""
    if root is None:
        return item

    def moved(path: Plain) -> Plain:
        if isinstance(path, list):
            return [moved(one) for one in path]
        return Path(os.path.relpath((root / path).resolve(), folder.resolve())).as_posix() if path else None  # type: ignore[operator]

    return {key: moved(value) if key in PATHS else value for key, value in item.items()}


def counts(datalist: Datalist) -> list[tuple[str, list[int]]]:
    """Count images, patients, boxes, labels and views; one number a split, the total last."""
    lists = [datalist.splits[split] for split in SPLITS]
    everything = [record for records in lists for record in records]
    rows = [("images", [len(records) for records in lists])]
    rows.append(("patients", [len({record.patient for record in records}) for records in lists]))
    for number, name in enumerate(datalist.reading.classes):
        rows.append((f"boxes of {name}", [sum(r.classes.count(number) for r in records) for records in lists]))
    for name in _seen(label for record in everything for label in record.labels):
        for value, word in WORDS.items():
            rows.append((f"{name} {word}", [_labelled(records, name, value) for records in lists]))
    if any(isinstance(record, VolumeRecord) for record in everything):
        rows.append(("with a mask", [sum(_has_mask(record) for record in records) for records in lists]))
    else:
        rows += [
            (f"view {view or 'unknown'}", [sum(record.view == view for record in records) for records in lists])
            for view in _seen(record.view for record in everything)
        ]
        rows.append(("boxes not all known", [sum(not record.boxed for record in records) for records in lists]))
    rows.append(("unlabelled", [sum(record.unlabelled for record in records) for records in lists]))
    return [(name, [*numbers, sum(numbers)]) for name, numbers in rows]


def counts_table(datalist: Datalist) -> Table:
    """Show `counts`."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(datalist.reading.name)
    for name in (*SPLITS, "all"):
        table.add_column(name, justify="right")
    for name, numbers in counts(datalist):
        table.add_row(name, *(str(number) for number in numbers))
    return table


def _has_mask(record: Record) -> bool:
    return isinstance(record, VolumeRecord) and record.mask is not None


def _labelled(records: list[Record], name: str, value: int | None) -> int:
    return sum(name in record.labels and record.labels[name] == value for record in records)


def _seen(words: Iterable[Word]) -> list[Word]:
    return list(dict.fromkeys(words))
