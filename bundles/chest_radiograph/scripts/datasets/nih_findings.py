"""NIH ChestX-ray14: its findings, its names of files and people, and what labels and boxes make of an image.

Wang et al., CVPR 2017. Labels are mined from reports; the 984 boxes are drawn by hand on 880 images of the test list.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, Targets
from bundles.common.datalist.boxes import Edges
from bundles.common.datalist.problems import Damaged, Place, Problems
from bundles.common.datalist.tables import Row
from bundles.common.strict import nearest

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
NO_FINDING = "No Finding"
BOX_NAMES = {"Infiltrate": "Infiltration"}  # the list of boxes calls this one by another name
VIEWS: dict[str, str | int | None] = {"AP": "AP", "PA": "PA"}
NAME = re.compile(r"(?P<patient>\d{8})_\d{3}\.png")


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


def patient_of(image: str) -> str:
    """Return the patient's number in the name of an image, without leading zeros, as `Patient ID` has it.

    Raises:
        Damaged: The name is built otherwise.
    """
    match = NAME.fullmatch(image)
    if match is None:
        raise Damaged(f"image '{image}', expected a name such as 00000001_000.png")
    return str(int(match["patient"]))


def findings_of(text: str) -> tuple[str, ...]:
    """Read `Mass|Nodule`; No Finding gives none.

    Raises:
        Damaged: A finding is unknown, there twice, or stands beside No Finding.
    """
    names = text.split("|")
    for name in names:
        if name not in (*FINDINGS, NO_FINDING):
            raise Damaged(f"unknown finding '{name}'{nearest(name, [*FINDINGS, NO_FINDING])}")
    if len(set(names)) < len(names):
        raise Damaged(f"a finding is there twice in '{text}'")
    if NO_FINDING in names and len(names) > 1:
        raise Damaged(f"'{NO_FINDING}' beside a finding in '{text}'")
    return tuple(name for name in names if name != NO_FINDING)


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
