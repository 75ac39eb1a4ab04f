"""What a model said of each test case, as a table that comparisons of models begin from: `cases.csv`.

Neither names of files nor of patients are in it: both are hashed, by the same rule as in a store of pretraining, so
that two models can be compared case by case.
"""

import csv
import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILE = "cases.csv"
COLUMNS = ("finding", "case", "patient", "truth", "score")
SALT = "vigil"


@dataclass(frozen=True, slots=True)
class Case:
    """One case of one finding.

    Attributes:
        finding: Sought.
        case: `case_id` of the image, or `slice_id` of a slice of it.
        patient: `patient_id` of the patient.
        truth: Whether it is there.
        score: Higher is more suspicious; NaN where the model gave no number.
    """

    finding: str
    case: str
    patient: str
    truth: bool
    score: float


def case_id(name: str) -> str:
    """16 hexadecimal digits for an image, from its name as its datalist writes it."""
    return _hashed("image", name)


def slice_id(name: str, number: int) -> str:
    """A slice of a volume that is a case of its own: `case_id` of the volume, and the slice's number after a hyphen."""
    return f"{case_id(name)}-{number}"


def image_of(case: str) -> str:
    """`case_id` of the image that a case is, or is a slice of."""
    return case.partition("-")[0]


def patient_id(name: str) -> str:
    """16 hexadecimal digits for a patient."""
    return _hashed("patient", name)


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Write the table; what was there is replaced as a whole.

    Raises:
        ValueError: One finding has a case twice, or there is none.
    """
    rows = list(cases)
    if not rows:
        raise ValueError(f"{path}: there is no case to write")
    if len({(row.finding, row.case) for row in rows}) != len(rows):
        raise ValueError(f"{path}: a case is there twice for one finding; names of images must differ")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((row.finding, row.case, row.patient, int(row.truth), repr(float(row.score))) for row in rows)
    beside.replace(path)


def read_cases(path: Path) -> list[Case]:
    """Read such a table.

    Raises:
        ValueError: It is missing, or a line is none of `write_cases`; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}")
            return [_case(row, f"{path}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error


def _case(row: dict[str, str], where: str) -> Case:
    if None in row or None in row.values() or row["truth"] not in {"0", "1"}:
        raise ValueError(f"{where}: not a case; the file was cut off or changed: evaluate again")
    try:
        score = float(row["score"])
    except ValueError as error:
        raise ValueError(f"{where}: the score {row['score']!r} is no number; evaluate again") from error
    if math.isinf(score):
        score = math.nan
    return Case(row["finding"], row["case"], row["patient"], row["truth"] == "1", score)


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\0".join((SALT, *parts)).encode()).hexdigest()[:16]
