"""Who an image belongs to, as a hash, and which split that person is in.

A patient is in one split, always the same one however the archive grows: the split follows from the patient's hash.
"""

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pretraining.data.errors import ArchiveError

SPLITS = ("train", "validate", "test")


def hashed(salt: str, *parts: str) -> str:
    """Return 16 hexadecimal digits that name without telling; a secret salt keeps short ids from being guessed."""
    return hashlib.sha256("\0".join((salt, *parts)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the patients in each split; the parts sum to 1."""

    train: float = 0.8
    validate: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        parts = (self.train, self.validate, self.test)
        if min(parts) < 0 or abs(sum(parts) - 1) > 1e-9:
            raise ArchiveError(f"the shares of train, validate and test are {parts}; they must sum to 1")

    def split_of(self, patient: str) -> str:
        """Tell the split of a hashed patient."""
        place = int(hashlib.sha256(f"split\0{patient}".encode()).hexdigest()[:13], 16) / 16**13
        if place < self.train:
            return "train"
        return "validate" if place < self.train + self.validate or self.test == 0 else "test"


@dataclass(frozen=True, slots=True)
class Patients:
    """Where a patient's identity comes from: the table first, then the pattern, then DICOM's PatientID.

    Attributes:
        table: Key (file name, its stem, or path relative to the folder) to patient.
        pattern: Regular expression searched in the relative path; its first group is the patient. None for none.
        salt: Goes into every hash.
    """

    table: Mapping[str, str] = field(default_factory=dict)
    pattern: str | None = None
    salt: str = "vigil"

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ArchiveError(f"the patient pattern '{self.pattern}' is no regular expression: {error}") from error
            if groups < 1:
                raise ArchiveError(
                    f"the patient pattern '{self.pattern}' needs a group in brackets: (…) is the patient"
                )

    def of(self, relative: PurePosixPath, patient_id: str) -> tuple[str, bool]:
        """Return the hashed patient, and whether anything told who it is; else the file is its own patient."""
        for key in (str(relative), relative.name, relative.stem):
            if key in self.table:
                return hashed(self.salt, "patient", self.table[key]), True
        match = re.search(self.pattern, str(relative)) if self.pattern is not None else None
        if match and match[1]:
            return hashed(self.salt, "patient", match[1]), True
        if patient_id:
            return hashed(self.salt, "patient", patient_id), True
        return hashed(self.salt, "file", str(relative)), False


def columns_of(path: Path) -> tuple[str, ...]:
    """Name the columns of a CSV file.

    Raises:
        ArchiveError: The file is missing or no CSV.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return tuple(csv.DictReader(file, skipinitialspace=True).fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError(f"{path}: cannot be read as CSV: {error}") from error


def read_table(path: Path, key: str, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Read columns of a CSV file (UTF-8, with or without a byte order mark): key to the values of `columns`.

    Raises:
        ArchiveError: The file is missing, a column is not in it, or a key stands for two different rows.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            known = reader.fieldnames or []
            for column in (key, *columns):
                if column not in known:
                    raise ArchiveError(f"{path}: no column '{column}'; it has {', '.join(known) or 'none'}")
            table: dict[str, tuple[str, ...]] = {}
            for row in reader:
                values = tuple((row[column] or "").strip() for column in columns)
                if row[key] is None:
                    raise ArchiveError(f"{path}: line {reader.line_num} ends before the column '{key}'")
                if table.setdefault(row[key].strip(), values) != values:
                    raise ArchiveError(f"{path}: line {reader.line_num} gives a key a second time, with other values")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError(f"{path}: cannot be read as CSV: {error}") from error
    return table
