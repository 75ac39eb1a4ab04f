"""A datalist of radiographs, checked before training begins: everything wrong is named at once.

A datalist is JSON with the sections `training`, `validation` and `test`, each a list of
`{"image": path, "boxes": [[x0, y0, x1, y1], …], "classes": [number, …], "labels": {finding: 0 | 1 | null, …},
"patient": name, …}`. Boxes are edges in pixels of the source image, x to the right, y down. Readers of public sets
write it (`scripts/datasets` of each bundle), and so do the phantoms.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bundles.common.boxes.geometry import as_boxes, inside_image
from bundles.common.headers import UnreadableImage
from bundles.common.outline import outline

SECTIONS = ("training", "validation", "test")
SHOWN = 20
Row = Mapping[str, Any]
Item = dict[str, Any]


def read_datalist(datalist: str, bundle: str) -> dict[str, Any]:
    """The file's content.

    Args:
        datalist: The file.
        bundle: Whose readers write such a file, for the error.

    Raises:
        ValueError: It is missing, or is no JSON with sections.
    """
    path = Path(datalist)
    if not path.is_file():
        raise ValueError(f"{path} is missing; write one with bundles.{bundle}.scripts.datasets, or give --datalist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    if not isinstance(content, dict):
        # One kind of error for whatever is wrong with the file.
        raise ValueError(f"{path}: expected the sections {', '.join(SECTIONS)}, got a {type(content).__name__}")  # noqa: TRY004
    return content


def checked_items(
    content: Mapping[str, Any],
    section: str,
    datalist: str,
    item_of: Callable[[Row, Path], Item],
    *,
    image_dir: str = "",
    limit: int = 0,
) -> list[Item]:
    """Items of one section.

    Args:
        content: Of the file.
        section: One of `SECTIONS`.
        datalist: The file.
        item_of: From a row and the folder of the images to an item; raises ValueError, KeyError or UnreadableImage.
        image_dir: Folder that paths are relative to; empty takes the datalist's own.
        limit: Take only so many; 0 takes all.

    Raises:
        ValueError: The section is empty; or, all named together: what `item_of` refused, and patients in two sections.
    """
    path = Path(datalist)
    rows = content.get(section) or []
    if not rows:
        raise ValueError(f"{path} has no images in '{section}'")
    folder = Path(image_dir) if image_dir else path.parent
    items: list[Item] = []
    problems: list[str] = []
    for number, row in enumerate(rows[: limit or None]):
        if not isinstance(row, Mapping):
            problems.append(f"entry {number} of '{section}' is no item: {row!r}")
            continue
        try:
            items.append(item_of(row, folder))
        except (ValueError, KeyError, UnreadableImage) as error:
            problems.append(f"{row.get('image')}: lacks {error}" if isinstance(error, KeyError) else str(error))
    _refuse([*_shared_patients(content), *problems], path)
    return items


def expect_findings(content: Mapping[str, Any], section: str, datalist: str, findings: Sequence[str]) -> None:
    """Refuse a datalist of another bundle, whose numbers of classes would be taken for other findings.

    Raises:
        ValueError: Rows have labels, and none is of one of the findings.
    """
    rows = [row for row in content.get(section) or [] if isinstance(row, Mapping)]
    named = {name for row in rows if isinstance(row.get("labels"), Mapping) for name in row["labels"]}
    if named and not named & set(findings):
        raise ValueError(
            f"{datalist}: labels of '{section}' are of {', '.join(sorted(named))}, expected {' or '.join(findings)}; "
            "it was made for another bundle"
        )


def image_file(row: Row, folder: Path) -> Path:
    """Where the image of a row lies.

    Raises:
        ValueError: It is missing; the message names it as the row does.
    """
    image = (folder / str(row["image"])).resolve()
    if not image.is_file():
        raise ValueError(f"{row['image']}: no such image below {folder}")
    return image


def sound_boxes(row: Row, image: Path) -> tuple[Tensor, list[int]]:
    """Boxes (boxes, 4) float64 and classes of a row; the image's header is read where there are boxes.

    Raises:
        ValueError: A box without area, or outside of the image; another number of classes; or not an image.
        UnreadableImage: Its header is damaged.
    """
    name = str(row["image"])
    classes = [int(each) for each in row["classes"]]
    boxes = as_boxes(row["boxes"], name)
    if len(classes) != len(boxes):
        raise ValueError(f"{name}: {len(boxes)} boxes with classes {classes}; expected one class each")
    if len(boxes):
        found = outline(image)
        if found is None:
            raise ValueError(f"{name}: not an image")
        inside_image(boxes, found.shape[1], found.shape[2], name)
    return boxes, classes


def label_of(row: Row, finding: str) -> int | None:
    """1 present, 0 absent, None unknown.

    Raises:
        ValueError: Another value.
    """
    label = row["labels"].get(finding)
    if label is not None and label not in (0, 1):
        raise ValueError(f"{row['image']}: label of {finding} is {label!r}, expected 0, 1 or null")
    return None if label is None else int(label)


def _shared_patients(content: Mapping[str, Any]) -> list[str]:
    """Sentences about patients in more than one section."""
    where: dict[str, set[str]] = {}
    for section in SECTIONS:
        for row in content.get(section) or []:
            if isinstance(row, Mapping):
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
