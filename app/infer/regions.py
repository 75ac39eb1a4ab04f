"""From boxes of a network to regions of a finding in one source image; what is no box of that image is never one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Failed
from app.findings import Region, RegionKind
from bundles.common.contract import RegionOutput

ROUNDING = 0.5
"""How far an edge may lie outside of the image, pixels: it is drawn to the border."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """What a network gave for one image, of all classes, as flat numbers.

    Attributes:
        edges: Left, upper, right, lower edge of each box in pixels of the source image.
        scores: One for each box, 0 to 1.
        classes: One for each box.
    """

    edges: Sequence[float]
    scores: Sequence[float]
    classes: Sequence[float]


def regions_of(
    output: RegionOutput, boxes: Boxes, sop_instance_uid: str, rows: int, columns: int
) -> tuple[Region, ...]:
    """The regions of one finding in one image, the most certain first.

    Args:
        output: Which boxes are of this finding, from which score, and how many at most. A box of attention has no
            certainty of its own, and is shown whatever its score.
        boxes: Everything that the network gave.
        sop_instance_uid: Of the image.
        rows: Of the image, as stored.
        columns: Of the image, as stored.

    Raises:
        Failed: Numbers are missing, not finite, or outside of what they stand for; a box is empty or not in the image.
    """
    count = len(boxes.scores)
    if len(boxes.edges) != 4 * count or len(boxes.classes) != count:
        raise Failed(
            f"output '{output.boxes}' holds {len(boxes.edges)} edges for {count} scores and {len(boxes.classes)} "
            "classes, expected four edges and one class for each score"
        )
    attention = output.kind == "attention"
    rectangles = [boxes.edges[start : start + 4] for start in range(0, 4 * count, 4)]
    found = []
    for edges, score, kind in zip(rectangles, boxes.scores, boxes.classes, strict=True):
        box = _sound(edges, score, output, rows, columns)
        if kind == output.index and (attention or score >= output.threshold):
            found.append((score, box))
    found.sort(key=lambda each: -each[0])
    return tuple(
        Region(sop_instance_uid, box, RegionKind(output.kind), None if attention else score)
        for score, box in found[: output.limit]
    )


def _sound(
    edges: Sequence[float], score: float, output: RegionOutput, rows: int, columns: int
) -> tuple[float, float, float, float]:
    if not math.isfinite(score) or not 0 <= score <= 1:
        raise Failed(f"output '{output.scores}' holds {score}, expected a certainty from 0 to 1")
    if not all(math.isfinite(edge) for edge in edges):
        raise Failed(f"output '{output.boxes}' holds a box {_shown(edges)}, expected four finite numbers")
    left, upper, right, lower = edges
    inside = min(left, upper) >= -ROUNDING and right <= columns + ROUNDING and lower <= rows + ROUNDING
    x0, y0, x1, y1 = max(left, 0.0), max(upper, 0.0), min(right, float(columns)), min(lower, float(rows))
    if not inside or x0 >= x1 or y0 >= y1:
        wrong = "no area" if inside else "edges outside"
        raise Failed(
            f"output '{output.boxes}' holds a box {_shown(edges)} with {wrong} of an image of {columns} x {rows} pixels"
        )
    return x0, y0, x1, y1


def _shown(edges: Sequence[float]) -> str:
    return "(" + ", ".join(f"{edge:.1f}" for edge in edges) + ")"
