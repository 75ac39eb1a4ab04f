"""YOLO's label files: a line is `class x y width height`, the centre and the size in parts of the image's sides."""

import math
from collections.abc import Sequence
from pathlib import Path

from bundles.common.datalist.boxes import Edges, Size, inside
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.tables import read_text
from bundles.wrist_fracture.scripts.datasets.objects import CLASSES, Marked


def read_yolo(path: Path, size: Size, image: str, problems: Problems) -> list[Marked]:
    """Read a file; an empty one says that nothing is marked.

    Args:
        path: The file.
        size: Columns and rows of its image.
        image: How problems name the image.
        problems: Receives what is wrong.
    """
    marked: list[Marked] = []
    seen: dict[str, Place] = {}
    for number, line in enumerate(read_text(path).rstrip().split("\n"), start=1):
        place = Place(path, number)
        with problems.at(place, image):
            if not line.strip() and number == 1:
                continue
            kind, edges = decode(line, size)
            first = seen.setdefault(line.strip(), place)
            if first is place:
                marked.append(Marked(place, kind, inside(edges, size)))
            else:
                problems.add(Kind.DUPLICATE, place, f"the same as {first}", image)
    return marked


def decode(line: str, size: Size) -> tuple[int, Edges]:
    """Return a line's class and edges in pixels.

    Raises:
        Damaged: Not five numbers, an unknown class, or a size that is not positive.
    """
    words = line.split()
    if len(words) != 5:
        raise Damaged(f"{len(words)} values, expected five: class x y width height")
    if words[0] not in {str(number) for number in range(len(CLASSES))}:
        raise Damaged(f"class '{words[0]}', expected 0…{len(CLASSES) - 1}")
    try:
        x, y, width, height = (float(word) for word in words[1:])
    except ValueError as error:
        raise Damaged(f"'{line.strip()}': a value that is no number") from error
    if not all(math.isfinite(value) for value in (x, y, width, height)) or width <= 0 or height <= 0:
        raise Damaged(f"'{line.strip()}': a box without area", Kind.BOX)
    columns, rows = size
    half_width, half_height = width / 2, height / 2
    edges = (x - half_width) * columns, (y - half_height) * rows, (x + half_width) * columns, (y + half_height) * rows
    return int(words[0]), edges


def encode(kind: int, edges: Edges, size: Size, digits: int = 6) -> str:
    """Return the line for edges in pixels, with as many digits as the published files have."""
    columns, rows = size
    x0, y0, x1, y1 = edges
    values: Sequence[float] = (
        (x0 + x1) / 2 / columns,
        (y0 + y1) / 2 / rows,
        (x1 - x0) / columns,
        (y1 - y0) / rows,
    )
    return " ".join([str(kind), *(f"{value:.{digits}f}" for value in values)])
