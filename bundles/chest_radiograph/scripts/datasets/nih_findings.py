"""NIH ChestX-ray14: its boxes, and what labels and boxes make of an image.

Wang et al., CVPR 2017. The 984 boxes are drawn by hand on 880 images of the test list.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, Targets
from bundles.common.datalist.boxes import Edges
from bundles.common.datalist.problems import Damaged, Place, Problems
from bundles.common.datalist.tables import Row
from bundles.common.radiograph.nih import FINDINGS, patient_of
from bundles.common.strict import nearest

BOX_NAMES = {"Infiltrate": "Infiltration"}  # the list of boxes calls this one by another name


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box of the list of boxes: its finding, x, y, width and height."""

    place: Place
    finding: str
    edges: Edges


@dataclass(frozen=True, slots=True)
class Truth:
    """What labels and boxes say of the two classes."""

    labels: Mapping[str, int | None]
    boxes: tuple[Edges, ...]
    classes: tuple[int, ...]
    boxed: bool


def boxes_by_image(rows: Iterable[Row], columns: Sequence[str], problems: Problems) -> dict[str, list[Drawn]]:
    """Read a list of boxes.

    Args:
        rows: Of the list.
        columns: Names of the columns with image, finding, x, y, width and height.
        problems: Receives what is wrong.
    """
    boxes: dict[str, list[Drawn]] = defaultdict(list)
    for row in rows:
        image = row[columns[0]]
        with problems.at(row.place, image or None):
            finding = BOX_NAMES.get(row[columns[1]], row[columns[1]])
            if finding not in FINDINGS:
                raise Damaged(f"unknown finding '{finding}'{nearest(finding, list(FINDINGS))}")
            x, y, width, height = (row.number(column) for column in columns[2:])
            patient_of(image)
            boxes[image].append(Drawn(row.place, finding, (x, y, x + width, y + height)))
    return boxes


def truth(findings: Sequence[str], drawn: Sequence[tuple[str, Edges]], targets: Targets) -> Truth:
    """Join labels and boxes: a class is present where a finding or a box says so, and boxed where it has a box."""
    named = targets.of(findings) | targets.of(finding for finding, _ in drawn)
    kept = [(number, edges) for finding, edges in drawn for number in targets.of([finding])]
    return Truth(
        labels={name: int(number in named) for number, name in enumerate(CLASSES)},
        boxes=tuple(edges for _, edges in kept),
        classes=tuple(number for number, _ in kept),
        boxed=named == {number for number, _ in kept},
    )
