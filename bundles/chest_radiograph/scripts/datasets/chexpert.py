"""CheXpert: `train.csv` and `valid.csv`; 1 present, 0 absent, -1 uncertain, blank not mentioned. No boxes.

Irvin et al., AAAI 2019.
"""

import re
from enum import StrEnum
from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Damaged, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Reading, Record
from bundles.common.datalist.tables import Row, read_rows

LABELS = {"lesion": "Lung Lesion", "pneumothorax": "Pneumothorax"}
NO_FINDING = "No Finding"
VALUES: dict[str, str | int | None] = {
    "": "blank",
    "1.0": 1,
    "0.0": 0,
    "-1.0": "uncertain",
    "1": 1,
    "0": 0,
    "-1": "uncertain",
}
VIEWS: dict[str, str | int | None] = {"": None, "AP": "AP", "PA": "PA", "LL": "LL", "RL": "RL"}
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", NO_FINDING, *LABELS.values())
PATH = re.compile(r"(?:^|/)(?P<split>train|valid|test)/(?P<patient>patient\d+)/(?P<study>study\d+)/[^/]+$")
OWN = {"train": (TRAINING,), "valid": (VALIDATION,), "test": (TEST,)}


class Unclear(StrEnum):
    """What a value that says neither yes nor no becomes."""

    UNKNOWN = "unknown"
    PRESENT = "present"
    ABSENT = "absent"

    @property
    def label(self) -> int | None:
        """As in the datalist."""
        return {"unknown": None, "present": 1, "absent": 0}[self.value]


def read(
    tables: list[Path], images: ImageFolder, problems: Problems, *, uncertain: Unclear, blank: Unclear, own_split: bool
) -> Reading:
    """Read the set.

    Args:
        tables: `train.csv`, `valid.csv`.
        images: The folder that holds `CheXpert-v1.0-small`, or that folder itself.
        problems: Receives what is wrong.
        uncertain: What -1 becomes.
        blank: What a blank becomes; where the image has No Finding it is absent in any case.
        own_split: train and valid are training and validation; otherwise patients are split by hash.
    """
    records = []
    for table in tables:
        for row in read_rows(table, COLUMNS, problems):
            with problems.at(row.place, row["Path"] or None):
                records.append(_record(row, images, uncertain, blank, own_split))
    return Reading("CheXpert", CLASSES, tuple(records), tuple(tables), ("the set has no boxes",))


def _record(row: Row, images: ImageFolder, uncertain: Unclear, blank: Unclear, own_split: bool) -> Record:
    path = row.needed("Path")
    parts = PATH.search(path)
    if parts is None:
        raise Damaged(f"path '{path}', expected …/train/patient00001/study1/view1_frontal.jpg")
    nothing = row.one_of(NO_FINDING, VALUES) == 1
    labels = {
        name: _label(row.one_of(column, VALUES), uncertain, Unclear.ABSENT if nothing else blank)
        for name, column in LABELS.items()
    }
    if nothing and 1 in labels.values():
        raise Damaged("'No Finding' is 1 beside a finding")
    return Record(
        key=path,
        image=images.find_path(path),
        patient=parts["patient"],
        place=row.place,
        labels=labels,
        view=_view(row),
        boxed=set(labels.values()) == {0},
        pool=OWN[parts["split"]] if own_split else SPLITS,
        more={"study": parts["study"], "sex": row["Sex"] or None, "age": row.number("Age") if row["Age"] else None},
    )


def _view(row: Row) -> str | None:
    direction = row.one_of("Frontal/Lateral", {"Frontal": "FRONTAL", "Lateral": "LATERAL"})
    view = row.one_of("AP/PA", VIEWS)
    if direction == "LATERAL":
        if view in ("AP", "PA"):
            raise Damaged(f"a lateral image with '{view}' in 'AP/PA'")
        return "LATERAL"
    return str(view) if view in ("AP", "PA") else None


def _label(value: str | int | None, uncertain: Unclear, blank: Unclear) -> int | None:
    if isinstance(value, int):
        return value
    return uncertain.label if value == "uncertain" else blank.label
