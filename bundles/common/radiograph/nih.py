"""NIH ChestX-ray14: its findings, its names of files and people, its tables.

Wang et al., CVPR 2017. Labels are mined from reports.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION
from bundles.common.datalist.tables import Row, read_text
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
ENTRY = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
VIEWS: dict[str, str | int | None] = {"AP": "AP", "PA": "PA"}
NAME = re.compile(r"(?P<patient>\d{8})_\d{3}\.png")


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


def entry_patient(row: Row) -> str:
    """The patient of a row of `Data_Entry_2017.csv`.

    Raises:
        Damaged: `Patient ID` and the image's name differ.
    """
    patient = patient_of(row.needed("Image Index"))
    if row["Patient ID"].lstrip("0") != patient:
        raise Damaged(f"'Patient ID' is '{row['Patient ID']}', and the image's name says {patient}")
    return patient


def entry_age(row: Row) -> int:
    """Years of a row of `Data_Entry_2017.csv`.

    Raises:
        Damaged: No number of years.
    """
    text = row["Patient Age"].removesuffix("Y")
    if not text.isdecimal():
        raise Damaged(f"'Patient Age' is '{row['Patient Age']}', expected years such as 58 or 058Y")
    return int(text)


def read_test_list(path: Path | None) -> dict[str, Place] | None:
    """Read `test_list.txt`: each image and its line; None without a list.

    Raises:
        DatalistError: The list is missing or empty.
    """
    if path is None:
        return None
    lines = [line.strip() for line in read_text(path).split("\n")]
    names = {line: Place(path, number) for number, line in enumerate(lines, start=1) if line}
    if not names:
        raise DatalistError(f"{path}: the list is empty")
    return names


def pool_of(image: str, test: Mapping[str, Place] | None) -> tuple[str, ...]:
    """Splits that are open to an image: by the set's own list, or all."""
    return SPLITS if test is None else ((TEST,) if image in test else (TRAINING, VALIDATION))


def note_unlisted(
    listed: Mapping[str, Place], test: Mapping[str, Place] | None, test_list: Path | None, problems: Problems
) -> None:
    """Note images of the test list that have no row among the labels."""
    for image, place in (test or {}).items():
        if image not in listed:
            problems.add(Kind.DAMAGED, place, f"'{image}' of {test_list} has no row among the labels", image)
