"""Regions of radiographs in their own resolution, for findings that are too small for a shrunk image.

A small experiment cannot afford whole images in which a fracture is still to be seen. It learns from square regions,
and is tested on them. Where a region lies must tell nothing: an image without the finding is cut where a training image
has it, and the metadata baseline knows the place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundles.common.headers import UnreadableImage
from bundles.common.metrics.cases import case_id
from bundles.common.reader import read_stack
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.experiments.datalists import SECTIONS, Datalist, read
from pretraining.experiments.layout import DATALIST

FOLDER, WHOLE = "regions", "whole.json"
# Of a box's area: from here it is in the region; a region that holds less of one, and not nothing, is cut elsewhere.
INSIDE = 0.75
TRIES = 200
Row = Mapping[str, Any]
Pixels = NDArray[np.float32]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Cut:
    """A square region of an image, in its pixels.

    Attributes:
        column, row: Its corner.
        side: Of the square.
    """

    column: int
    row: int
    side: int

    @classmethod
    def around(cls, middle: Point, side: int, shape: tuple[int, int]) -> Cut:
        """As near to a middle (x, y) as an image of these (rows, columns) lets it lie."""
        column, row = (
            int(np.clip(round(at - side / 2), 0, size - side)) for at, size in zip(middle, reversed(shape), strict=True)
        )
        return cls(column, row, side)

    def of(self, pixels: Pixels) -> Pixels:
        """The region of an image (rows, columns)."""
        return pixels[self.row : self.row + self.side, self.column : self.column + self.side]

    def box(self, box: Sequence[float]) -> list[float]:
        """Edges (x0, y0, x1, y1) in pixels of the region, cut where it ends; of no area where the box lies outside."""
        moved = np.clip(np.array(box, dtype=float) - np.array([self.column, self.row] * 2), 0, self.side)
        return [float(edge) for edge in moved]

    def share(self, box: Sequence[float]) -> float:
        """Of the box's area, what lies in the region."""
        return _area(self.box(box)) / _area(box)


def cut_regions(folder: Path, finding: str, side: int, each: int, seed: int = 0) -> int:
    """Cut the images of `FOLDER/datalist.json` into regions; what it said before is kept in `FOLDER/whole.json`.

    A region lies around the image's first box, or where an image of the training section and of the same view has one,
    its middle moved by up to a quarter of the side either way. Its label is whether it holds a box. Its row tells its
    middle in `metadata`: `across` and `down`, from 0 to 1 of the image. Doing it twice does no harm.

    Args:
        folder: Of the datalist; rows have `boxes`, edges (x0, y0, x1, y1) in pixels, and `classes`, one for each.
        finding: Whose boxes these are.
        side: Of the regions, in pixels.
        each: Regions of an image.
        seed: Of all choices.

    Returns:
        How many regions there are.

    Raises:
        ArchiveError: No datalist, no box in the training section, an image that cannot be read or is smaller than a
            region, or one with the finding and without a box.
    """
    datalist = read(folder / DATALIST)
    if FOLDER in datalist.content:
        datalist = read(folder / WHOLE)
    cutter = _Cutter.of(datalist, finding, side, np.random.default_rng([seed, side, each]))
    sections = {
        name: [made for row in datalist.sections[name] for made in cutter.cut(row, folder, each)] for name in SECTIONS
    }
    content = {**datalist.content, **sections, FOLDER: {"finding": finding, "side": side, "each": each, "seed": seed}}
    for path, told in ((folder / WHOLE, datalist.content), (folder / DATALIST, content)):
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(told) + "\n", encoding="utf-8")
    return sum(map(len, sections.values()))


@dataclass(frozen=True, slots=True)
class _Cutter:
    images: Path
    finding: str
    side: int
    rng: np.random.Generator
    # View to the middles of boxes in the training section, from 0 to 1 of their image.
    places: Mapping[str, Sequence[Point]]

    @classmethod
    def of(cls, datalist: Datalist, finding: str, side: int, rng: np.random.Generator) -> _Cutter:
        places: dict[str, list[Point]] = {}
        for row in datalist.sections["training"]:
            for box in row.get("boxes") or ():
                middle = ((box[0] + box[2]) / 2 / row["columns"], (box[1] + box[3]) / 2 / row["rows"])
                places.setdefault(str(row.get("view")), []).append(middle)
        if not places:
            raise ArchiveError(f"{datalist.path}: no box in the training section tells where regions shall lie")
        return cls(datalist.images, finding, side, rng, places)

    def cut(self, row: Row, folder: Path, each: int) -> list[dict[str, Any]]:
        """Rows of the regions of an image, which are written."""
        name = case_id(str(row["image"]))
        pixels = self._pixels(row, name)
        boxes = list(row.get("boxes") or ())
        if (row.get("labels") or {}).get(self.finding) and not boxes:
            raise ArchiveError(f"{name} (by its hash) has {self.finding} and no box; regions need boxes")
        made = []
        for number in range(each):
            cut = self._placed(pixels.shape, boxes, str(row.get("view")))
            held = [place for place, box in enumerate(boxes) if cut.share(box) >= INSIDE]
            path = f"{FOLDER}/{name}_{number}.png"
            _write(folder / path, cut.of(pixels))
            made.append(
                {
                    **row,
                    "image": path,
                    "boxes": [cut.box(boxes[place]) for place in held],
                    "classes": [row["classes"][place] for place in held],
                    "labels": {**row["labels"], self.finding: int(bool(held))},
                    "rows": self.side,
                    "columns": self.side,
                    "metadata": {**(row.get("metadata") or {}), **_told(cut, pixels.shape)},
                }
            )
        return made

    def _placed(self, shape: tuple[int, ...], boxes: Sequence[Sequence[float]], view: str) -> Cut:
        """A region that holds each box as good as whole, or nothing of it."""
        rows, columns = shape
        for _ in range(TRIES):
            cut = Cut.around(self._middle(boxes, view, (rows, columns)), self.side, (rows, columns))
            if all(not 0 < cut.share(box) < INSIDE for box in boxes):
                return cut
        raise ArchiveError(f"no region of {self.side} pixels holds a box as good as whole; make them larger")

    def _middle(self, boxes: Sequence[Sequence[float]], view: str, shape: tuple[int, int]) -> Point:
        if boxes:
            x, y = (boxes[0][0] + boxes[0][2]) / 2, (boxes[0][1] + boxes[0][3]) / 2
        else:
            alike = self.places.get(view) or [place for each in self.places.values() for place in each]
            across, down = alike[int(self.rng.integers(len(alike)))]
            x, y = across * shape[1], down * shape[0]
        away = self.rng.uniform(-self.side / 4, self.side / 4, 2)
        return float(x + away[0]), float(y + away[1])

    def _pixels(self, row: Row, name: str) -> Pixels:
        try:
            pixels: Pixels = read_stack(self.images / str(row["image"])).array[0]
        except UnreadableImage as error:
            raise ArchiveError(f"{name} (by its hash) cannot be read: {error}") from error
        if min(pixels.shape) < self.side:
            rows, columns = pixels.shape
            raise ArchiveError(f"{name} (by its hash) has {rows} × {columns} pixels; regions of {self.side} need more")
        return pixels


def _told(cut: Cut, shape: tuple[int, ...]) -> dict[str, float]:
    return {
        "across": round((cut.column + cut.side / 2) / shape[1], 4),
        "down": round((cut.row + cut.side / 2) / shape[0], 4),
    }


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _write(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        Image.fromarray(np.clip(np.rint(pixels), 0, 65535).astype(np.uint16)).save(temporary, format="PNG")
