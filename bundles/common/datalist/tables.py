"""CSV files row by row, with line numbers: byte order marks, odd headers, damaged rows."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles.common.datalist.problems import Damaged, DatalistError, Place, Problems
from bundles.common.strict import nearest

LARGEST = 2**29
"""Bytes of an unpacked table: the largest public one (MIMIC-CXR's metadata) has a tenth of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place, and values by column without the spaces around them."""

    place: Place
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]

    def needed(self, column: str) -> str:
        """Return a value that must not be empty.

        Raises:
            Damaged: It is.
        """
        if not self.values[column]:
            raise Damaged(f"'{column}' is empty")
        return self.values[column]

    def number(self, column: str) -> float:
        """Return a finite number.

        Raises:
            Damaged: It is something else.
        """
        try:
            value = float(self.values[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise Damaged(f"'{column}' is '{self.values[column]}', expected a number")
        return value

    def one_of(self, column: str, known: Mapping[str, str | int | None]) -> str | int | None:
        """Translate a value by a table.

        Raises:
            Damaged: The table does not know it.
        """
        if self.values[column] not in known:
            words = ", ".join(f"'{word}'" for word in known)
            raise Damaged(f"'{column}' is '{self.values[column]}', expected one of {words}")
        return known[self.values[column]]


def read_text(path: Path) -> str:
    """Read UTF-8 with or without a byte order mark; `.gz` is unpacked (PhysioNet's tables).

    Raises:
        DatalistError: The file is missing, is no whole gzip file for its name, or a line of it is no text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DatalistError(f"{path}: {error.strerror}") from error
    if path.suffix == ".gz":
        raw = _unpacked(raw, path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DatalistError(f"{path}:{line}: byte 0x{raw[error.start]:02x} is no UTF-8 text") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DatalistError(f"{path}:{line}: a zero byte; the file is damaged, download it again")
    return text


def _unpacked(raw: bytes, path: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            content = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatalistError(f"{path}: no whole gzip file ({error}); download it again") from error
    if len(content) > LARGEST:
        raise DatalistError(f"{path}: more than {LARGEST // 2**20} MiB unpacked; that is no table of labels")
    return content


def read_rows(path: Path, columns: Sequence[str], problems: Problems, separators: str = ",") -> Iterator[Row]:
    """Read a CSV file with a header; damaged rows become problems and are passed over.

    Names of columns lose the spaces around them (SIIM's ` EncodedPixels`), and empty names at the end of the header
    count as none (NIH's box list). No field may span lines: an open quote spoils its own line alone.

    Args:
        path: The file.
        columns: Those that must be there.
        problems: Receives what is wrong.
        separators: What may stand between fields; the header decides, by which of them it has most. Excel writes `;`
            where the comma is the decimal sign.

    Raises:
        DatalistError: The file cannot be read, is empty, or a column is missing.
    """
    lines = _lines(path)
    if not lines:
        raise DatalistError(f"{path}: the file is empty")
    separator = max(separators, key=lines[0].count)
    try:
        fields = _split(lines[0], Place(path, 1), separator)
    except Damaged as error:
        raise DatalistError(f"{path}:1: {error}") from error
    names = [name.strip() for name in fields]
    while names and not names[-1]:
        names.pop()
    _check_header(path, names, columns)
    for number, line in enumerate(lines[1:], start=2):
        place = Place(path, number)
        with problems.at(place):
            yield Row(place, dict(zip(names, _values(line, place, len(names), len(fields), separator), strict=True)))


def read_plain_rows(path: Path, columns: Sequence[str], problems: Problems) -> Iterator[Row]:
    """Read a CSV file without a header (MURA); otherwise as `read_rows`."""
    for number, line in enumerate(_lines(path), start=1):
        place = Place(path, number)
        with problems.at(place):
            yield Row(place, dict(zip(columns, _values(line, place, len(columns), len(columns)), strict=True)))


def _lines(path: Path) -> list[str]:
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _check_header(path: Path, names: list[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in names:
            raise DatalistError(f"{path}:1: no column '{column}'{nearest(column, names)}; is this the right file?")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatalistError(f"{path}:1: the header names '{twice[0]}' twice")


def _split(line: str, place: Place, separator: str = ",") -> list[str]:
    try:
        rows = list(csv.reader([line], strict=True, delimiter=separator))
    except csv.Error as error:
        raise Damaged(f"no row of CSV: {error}") from error
    if rows in ([], [[]]):
        raise Damaged(f"an empty row in the middle of {place.file.name}")
    return rows[0]


def _values(line: str, place: Place, least: int, most: int, separator: str = ",") -> list[str]:
    fields = [value.strip() for value in _split(line, place, separator)]
    if not least <= len(fields) <= most or any(fields[least:]):
        raise Damaged(f"{len(fields)} fields, expected {least}")
    return fields[:least]
