"""CheXpert's tables: how a row names image, patient, split and view, and what its values mean.

Irvin et al., AAAI 2019: 1 present, 0 absent, -1 uncertain, blank not mentioned.
"""

import re
from enum import StrEnum

from bundles.common.datalist.problems import Damaged
from bundles.common.datalist.records import TEST, TRAINING, VALIDATION
from bundles.common.datalist.tables import Row

NO_FINDING = "No Finding"
BLANK, UNCERTAIN = "blank", "uncertain"
VALUES: dict[str, str | int | None] = {
    "": BLANK,
    "1.0": 1,
    "0.0": 0,
    "-1.0": UNCERTAIN,
    "1": 1,
    "0": 0,
    "-1": UNCERTAIN,
}
VIEWS: dict[str, str | int | None] = {"": None, "AP": "AP", "PA": "PA", "LL": "LL", "RL": "RL"}
COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
PATH = re.compile(r"(?:^|/)(?P<split>train|valid|test)/(?P<patient>patient\d+)/(?P<study>study\d+)/[^/]+$")
OWN = {"train": (TRAINING,), "valid": (VALIDATION,), "test": (TEST,)}
# The thesis on CheXpert (seed 002, section 4.2.1): the radiologists' labels are tested on, the mined ones are divided.
VALID_IS_TEST = {"train": (TRAINING, VALIDATION), "valid": (TEST,), "test": (TEST,)}


class Unclear(StrEnum):
    """What a value that says neither yes nor no becomes."""

    UNKNOWN = "unknown"
    PRESENT = "present"
    ABSENT = "absent"

    @property
    def label(self) -> int | None:
        """As in the datalist."""
        return {"unknown": None, "present": 1, "absent": 0}[self.value]


def parts_of(row: Row) -> re.Match[str]:
    """Split, patient and study in a row's path.

    Raises:
        Damaged: The path is built otherwise.
    """
    path = row.needed("Path")
    parts = PATH.search(path)
    if parts is None:
        raise Damaged(f"path '{path}', expected …/train/patient00001/study1/view1_frontal.jpg")
    return parts


def view_of(row: Row) -> str | None:
    """AP, PA, LATERAL, or None for a frontal image of unknown direction.

    Raises:
        Damaged: A value that the set does not have, or a lateral image that is called AP or PA.
    """
    direction = row.one_of("Frontal/Lateral", {"Frontal": "FRONTAL", "Lateral": "LATERAL"})
    view = row.one_of("AP/PA", VIEWS)
    if direction == "LATERAL":
        if view in ("AP", "PA"):
            raise Damaged(f"a lateral image with '{view}' in 'AP/PA'")
        return "LATERAL"
    return str(view) if view in ("AP", "PA") else None


def about_person(row: Row) -> dict[str, str | float | None]:
    """Sex and age as a datalist keeps them."""
    return {"sex": row["Sex"] or None, "age": row.number("Age") if row["Age"] else None}


def label_of(value: str | int | None, uncertain: Unclear, blank: Unclear) -> int | None:
    """1, 0 or None for a value of `VALUES`."""
    if isinstance(value, int):
        return value
    return uncertain.label if value == UNCERTAIN else blank.label
