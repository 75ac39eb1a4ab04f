"""Drawing of key images: square pixels, words on strips above and below, boxes with their labels on the image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from app.findings import RegionKind
from app.report.outlines import Outline
from app.report.shown import Mark

SMALLEST_SIDE, LARGEST_SIDE = 768, 2048
FONT_SIZE, LABEL_SIZE = 20, 17
STRIP = 34
LINE, DASH, GAP = 3, 14, 9
"""Sizes on a picture 768 pixels wide; a wider one has them in proportion, so that it reads the same on a screen."""

Colour = tuple[int, int, int]
YELLOW, CYAN, WHITE, RED, BLACK = (255, 221, 0), (0, 220, 255), (255, 255, 255), (150, 0, 0), (0, 0, 0)
COLOURS: dict[RegionKind, Colour] = {RegionKind.DETECTION: YELLOW, RegionKind.ATTENTION: CYAN}

Rectangle = tuple[float, float, float, float]
Point = tuple[float, float]
Line = tuple[Point, Point]


def draw(
    grey: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    above: str,
    below: Sequence[str],
    marks: Iterable[Mark] = (),
    *,
    outlines: Sequence[Outline] = (),
) -> NDArray[np.uint8]:
    """Bring an image to a size to look at, with square pixels, its marks, and words above and below it.

    The longer side has 768 to 2048 pixels; strips come on top of that.

    Args:
        grey: (rows, columns).
        spacing_mm: (between rows, between columns).
        above: On a red strip; no strip where empty.
        below: Each on a black strip.
        marks: Solid and yellow for a detection, dashed and cyan for where a network looked.
        outlines: Yellow, around what they hold and never on it.

    Returns:
        RGB, (height, width, 3).
    """
    rows, columns = grey.shape
    millimetres = (rows * spacing_mm[0], columns * spacing_mm[1])
    scale = min(max(SMALLEST_SIDE, rows, columns), LARGEST_SIDE) / max(millimetres)
    height, width = (max(1, round(side * scale)) for side in millimetres)
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    full_width = max(width, SMALLEST_SIDE)
    unit = full_width / SMALLEST_SIDE
    strip = round(STRIP * unit)
    top = strip if above else 0
    canvas = Image.new("RGB", (full_width, height + top + strip * len(below)), BLACK)
    left = (full_width - width) // 2
    canvas.paste(image, (left, top))
    pen = ImageDraw.Draw(canvas)
    frame = (left, top, left + width, top + height)
    for outline in outlines:
        _outline(canvas, outline, frame, unit)
    labels = [Mark(outline.box, outline.label, RegionKind.DETECTION) for outline in outlines]
    _Marks(pen, unit, frame).draw(marks, (width / columns, height / rows), labels)
    if above:
        pen.rectangle((0, 0, full_width, strip - 1), fill=RED)
        _write(pen, above, (full_width, strip // 2), YELLOW, unit)
    if below:
        # An image of a few rows may be lower than a label.
        pen.rectangle((0, top + height, full_width, canvas.height), fill=BLACK)
    for number, line in enumerate(below):
        _write(pen, line, (full_width, top + height + number * strip + strip // 2), WHITE, unit)
    return np.asarray(canvas)


def _outline(canvas: Image.Image, outline: Outline, frame: tuple[int, int, int, int], unit: float) -> None:
    """A line around what is inside, on a dark one; only that part of the picture is touched."""
    left, top, right, bottom = frame
    width, edge = max(1, round((LINE - 1) * unit)), max(1, round(unit))
    inside = Image.fromarray(outline.inside.astype(np.uint8) * 255).resize(
        (right - left, bottom - top), Image.Resampling.NEAREST
    )
    box = inside.getbbox()
    if box is None:
        return
    reach = width + 2 * edge
    part = (
        max(box[0] - reach, 0),
        max(box[1] - reach, 0),
        min(box[2] + reach, right - left),
        min(box[3] + reach, bottom - top),
    )
    inside = inside.crop(part)
    held = np.asarray(inside) > 0
    at = (left + part[0], top + part[1])
    for colour, thick in ((BLACK, width + edge), (COLOURS[RegionKind.DETECTION], width)):
        ring = (np.asarray(inside.filter(ImageFilter.MaxFilter(2 * thick + 1))) > 0) & ~held
        canvas.paste(colour, (*at, at[0] + ring.shape[1], at[1] + ring.shape[0]), Image.fromarray(ring))


@dataclass
class _Marks:
    """Boxes and their labels, which keep clear of each other as far as there is room."""

    pen: ImageDraw.ImageDraw
    unit: float
    frame: tuple[int, int, int, int]
    _taken: list[Rectangle] = field(default_factory=list)

    def draw(self, marks: Iterable[Mark], scale: tuple[float, float], labels: Iterable[Mark] = ()) -> None:
        """Boxes with their labels, and labels alone."""
        placed = [(mark, self._on_canvas(mark.box, scale)) for mark in marks]
        for mark, box in placed:
            self._box(box, mark.kind)
        alone = [(label, self._on_canvas(label.box, scale)) for label in labels]
        self._taken += [box for _, box in alone]  # what is outlined is not to be written upon
        for mark, box in [*placed, *alone]:
            self._label(mark, box)

    def _on_canvas(self, box: Rectangle, scale: tuple[float, float]) -> Rectangle:
        """Where a box lies, its lines wholly on the image."""
        left, top, right, bottom = self.frame
        inset = LINE * self.unit
        x0, x1 = sorted(min(max(left + x * scale[0], left + inset), right - 1 - inset) for x in (box[0], box[2]))
        y0, y1 = sorted(min(max(top + y * scale[1], top + inset), bottom - 1 - inset) for y in (box[1], box[3]))
        return x0, y0, x1, y1

    def _box(self, box: Rectangle, kind: RegionKind) -> None:
        """A dark line beneath keeps the bright one visible on bright and on dark ground."""
        width, edge = max(1, round(LINE * self.unit)), max(1, round(self.unit))
        for colour, more in ((BLACK, edge), (COLOURS[kind], 0)):
            if kind is RegionKind.DETECTION:
                self._solid(box, width // 2 + more, width + 2 * more, colour)
            else:
                for part in self._dashed(box):
                    self.pen.line(part, fill=colour, width=width + 2 * more)

    def _solid(self, box: Rectangle, reach: int, width: int, colour: Colour) -> None:
        x0, y0, x1, y1 = (round(edge) for edge in box)
        self.pen.rectangle((x0 - reach, y0 - reach, x1 + reach, y1 + reach), outline=colour, width=width)

    def _dashed(self, box: Rectangle) -> list[Line]:
        x0, y0, x1, y1 = box
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        return [dash for start, end in pairwise(corners) for dash in self._dashes(start, end)]

    def _dashes(self, start: Point, end: Point) -> list[Line]:
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        step, dash = (DASH + GAP) * self.unit, DASH * self.unit
        if length < step:
            return [(start, end)]

        def at(distance: float) -> Point:
            share = min(distance / length, 1.0)
            return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])

        return [(at(begin), at(begin + dash)) for begin in np.arange(0, length, step)]

    def _label(self, mark: Mark, box: Rectangle) -> None:
        font = _font(round(LABEL_SIZE * self.unit))
        margin = round(4 * self.unit)
        width = self.pen.textlength(mark.label, font=font) + 2 * margin
        height = LABEL_SIZE * self.unit + 2 * margin
        place = self._free_place(box, width, height)
        self._taken.append(place)
        self.pen.rectangle(place, fill=BLACK)
        x0, y0, _, y1 = place
        self.pen.text((x0 + margin, (y0 + y1) / 2), mark.label, fill=COLOURS[mark.kind], font=font, anchor="lm")

    def _free_place(self, box: Rectangle, width: float, height: float) -> Rectangle:
        """Above the box, below it, or further away; on the image, and off the labels that are there."""
        left, top, right, bottom = self.frame
        gap = 3 * self.unit
        x0 = max(left, min(box[0], right - width))
        tried = [box[1] - gap - height, box[3] + gap]
        tried += [box[3] + gap + n * height for n in range(1, 6)] + [box[1] - gap - n * height for n in range(2, 7)]
        for y0 in tried:
            place = (x0, y0, x0 + width, y0 + height)
            if top <= y0 and y0 + height <= bottom and not any(_overlap(place, other) for other in self._taken):
                return place
        y0 = max(top, min(box[1] + gap, bottom - height))
        return x0, y0, x0 + width, y0 + height


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write(pen: ImageDraw.ImageDraw, text: str, at: tuple[int, int], colour: Colour, unit: float) -> None:
    width, middle = at
    size = round(FONT_SIZE * unit)
    while pen.textlength(text, font=_font(size)) > width - 16 * unit and size > FONT_SIZE * unit / 2:
        size -= 1
    pen.text((width // 2, middle), text, fill=colour, font=_font(size), anchor="mm")
