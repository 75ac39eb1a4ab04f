"""ChestX-Det and ChestX-Det10: `train.json` and `test.json` with `file_name`, `syms`, `boxes` and `polygons`.

Liu et al., arXiv 2006.10550; Lian et al., IEEE TMI 40 (2021) 2042. Images are NIH ChestX-ray14's, and so are the
patients' numbers. "Diffuse Nodule" is a region of many nodules: the lesion is present, its boxes are not known.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, LESION, Targets
from bundles.common.datalist.boxes import Edges, around, inside
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Place, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Reading, Record
from bundles.common.datalist.tables import read_text
from bundles.common.radiograph.nih import patient_of
from bundles.common.strict import nearest

DIFFUSE = "Diffuse Nodule"
FINDINGS = (
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    DIFFUSE,
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Fracture",
    "Mass",
    "Nodule",
    "Pleural Thickening",
    "Pneumothorax",
)
SPACES = " \t\r\n"


def read(
    train: Path | None, test: Path | None, images: ImageFolder, targets: Targets, problems: Problems, *, own_split: bool
) -> Reading:
    """Read the set.

    Args:
        train: `train.json`.
        test: `test.json`.
        images: The PNG files.
        targets: Which findings are lesions and pneumothoraces.
        problems: Receives what is wrong.
        own_split: test.json is the test split, train.json training or validation by hash; otherwise all go by hash.
    """
    records = []
    for path, pool in ((train, (TRAINING, VALIDATION)), (test, (TEST,))):
        chosen = pool if own_split else SPLITS
        for place, entry in watched(() if path is None else list(entries(path)), path.name if path else ""):
            name = entry.get("file_name") if isinstance(entry, dict) else None
            with problems.at(place, name if isinstance(name, str) else None):
                records.append(_record(entry, place, images, targets, pool=chosen, problems=problems))
    files = tuple(file for file in (train, test) if file is not None)
    return Reading("ChestX-Det", CLASSES, tuple(records), files)


def entries(path: Path) -> Iterator[tuple[Place, Any]]:
    """Give the elements of a JSON array one by one, each with the line on which it begins.

    Raises:
        DatalistError: The file is no JSON, or no array.
    """
    text, decoder = read_text(path), json.JSONDecoder()
    at, line, counted = _skip(text, 0), 1, 0
    if text[at : at + 1] != "[":
        raise DatalistError(f"{path}:1: expected a JSON array of images")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            entry, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise DatalistError(f"{path}:{error.lineno}: not valid JSON: {error.msg}; is the file cut off?") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise DatalistError(f"{path}:{line}: an entry that no list of images holds") from error
        yield Place(path, line), entry
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            last = text.count("\n", 0, at) + 1
            raise DatalistError(f"{path}:{last}: not valid JSON: the array is not closed; is the file cut off?")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACES:
        at += 1
    return at


def _record(
    entry: Any, place: Place, images: ImageFolder, targets: Targets, *, pool: tuple[str, ...], problems: Problems
) -> Record:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        raise Damaged("an entry without 'file_name'")
    name, findings = entry["file_name"], _findings(entry)
    relative = images.find(name)
    shapes = _shapes(entry, len(findings))
    size = images.header(relative).size if findings else (0, 0)
    kept: list[tuple[int, Edges]] = []
    for finding, edges in zip(findings, shapes, strict=True):
        with problems.at(place, name):
            checked = inside(edges, size)
            kept += [(number, checked) for number in targets.of([finding])]
    present = targets.of(findings) | ({LESION} if DIFFUSE in findings else set())
    return Record(
        key=name,
        image=relative,
        patient=patient_of(name),
        place=place,
        boxes=tuple(edges for _, edges in kept),
        classes=tuple(number for number, _ in kept),
        labels={label: int(number in present) for number, label in enumerate(CLASSES)},
        boxed=DIFFUSE not in findings or DIFFUSE in targets.classes,
        pool=pool,
        more={"findings": list(dict.fromkeys(findings))},
    )


def _findings(entry: dict[str, Any]) -> list[str]:
    syms = entry.get("syms")
    if not isinstance(syms, list):
        raise Damaged("an entry without the list 'syms'")
    for name in syms:
        if name not in FINDINGS:
            raise Damaged(f"unknown finding '{name}'{nearest(str(name), list(FINDINGS))}")
    return syms


def _shapes(entry: dict[str, Any], count: int) -> list[Edges]:
    """Take the boxes; where an entry has none of them, those around its polygons."""
    if "boxes" in entry:
        shapes = [_box(values) for values in _list(entry, "boxes")]
    else:
        shapes = [around(_points(outline)) for outline in _list(entry, "polygons")]
    for key in ("boxes", "polygons"):
        if key in entry and len(_list(entry, key)) != count:
            raise Damaged(f"{count} findings and {len(entry[key])} {key}")
    return shapes


def _list(entry: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(entry.get(key), list):
        raise Damaged("an entry without the list 'boxes' or 'polygons'")
    values: list[Any] = entry[key]
    return values


def _box(values: Any) -> Edges:
    if not isinstance(values, list) or len(values) != 4 or not all(_is_number(value) for value in values):
        raise Damaged(f"box {values}, expected four numbers")
    return float(values[0]), float(values[1]), float(values[2]), float(values[3])


def _points(outline: Any) -> list[tuple[float, float]]:
    if not isinstance(outline, list):
        raise Damaged(f"polygon {outline}, expected a list of points")
    for point in outline:
        if not isinstance(point, list) or len(point) != 2 or not all(_is_number(value) for value in point):
            raise Damaged(f"point {point} of a polygon, expected two numbers")
    return [(float(x), float(y)) for x, y in outline]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
