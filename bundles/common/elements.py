"""Elements of data sets that anybody may have written: a value, or nothing where it is absent or malformed."""

import struct
import zlib
from functools import cache
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag, Tag

# pydicom's warnings about odd values quote them; values may name the patient, and warnings end in logs.
config.settings.reading_validation_mode = config.IGNORE

PARSE_ERRORS = (
    BytesLengthException,
    ValueError,  # with UnicodeDecodeError
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    EOFError,
    RecursionError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on malformed data sets, as fuzzing and its own test files show."""


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return an element's value, None where absent or malformed."""
    try:
        return getattr(dataset.get(_tag(keyword)), "value", None)
    except PARSE_ERRORS:
        return None


@cache
def _tag(keyword: str) -> BaseTag:
    """By tag pydicom finds an element in half the time that it takes by keyword."""
    return Tag(keyword)


def text(dataset: Dataset, keyword: str) -> str:
    """Return a text element without padding, "" where absent or malformed."""
    value = value_of(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return an integer element, None where absent or malformed."""
    values = numbers(dataset, keyword)
    return int(values[0]) if len(values) == 1 else None


def numbers(dataset: Dataset | None, keyword: str) -> tuple[float, ...]:
    """Return a numeric element's finite values, () where absent or any of them is malformed."""
    value = None if dataset is None else value_of(dataset, keyword)
    if value is None or value == "":
        return ()
    try:
        values = tuple(float(part) for part in ([value] if isinstance(value, str | int | float) else value))
    except PARSE_ERRORS:
        return ()
    return values if all(abs(part) < float("inf") for part in values) else ()


def is_stated(dataset: Dataset | None, keyword: str) -> bool:
    """Whether an element has a value, be it malformed."""
    if dataset is None or keyword not in dataset:
        return False
    try:
        value = dataset.get(keyword)
    except PARSE_ERRORS:
        return True
    return value is not None and str(value).strip(" \0") != ""


def item(dataset: Dataset | None, keyword: str, index: int) -> Dataset | None:
    """Return one item of a sequence, None where absent."""
    sequence = None if dataset is None else value_of(dataset, keyword)
    try:
        found = None if sequence is None else sequence[index]
    except PARSE_ERRORS:
        return None
    return found if isinstance(found, Dataset) else None
