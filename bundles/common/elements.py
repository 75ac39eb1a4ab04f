"""Elements of data sets that anybody may have written: a value, or nothing where it is absent or malformed."""

import struct
import zlib
from functools import cache
from typing import Any

from pydicom import config
from pydicom.dataelem import RawDataElement
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
        return dataset[_tag(keyword)].value
    except PARSE_ERRORS:  # with KeyError, where the element is absent
        return None


@cache
def _tag(keyword: str) -> BaseTag:
    """By tag pydicom finds an element in half the time that it takes by keyword."""
    return Tag(keyword)


def _undecoded(dataset: Dataset, keyword: str) -> RawDataElement | None:
    """An element whose bytes nobody has asked for yet; None for any other.

    For the headers of a series, pydicom's way from bytes to numbers and UIDs takes as long as reading the pixels. What
    is unusual is left to pydicom.
    """
    element: object = dataset.get_item(_tag(keyword), keep_deferred=True)
    return element if isinstance(element, RawDataElement) and isinstance(element.value, bytes) else None


def _plain_numbers(element: RawDataElement) -> tuple[float, ...] | None:
    """The values of an element as pydicom would give them; None where it is to be asked."""
    value = element.value or b""
    try:
        if element.VR == "DS":
            return tuple(map(float, value.split(b"\\")))
        if element.VR == "IS":
            return tuple(float(int(part)) for part in value.split(b"\\"))
    except (ValueError, OverflowError):
        return None
    if element.VR == "US" and len(value) == 2:
        return (float(int.from_bytes(value, "little" if element.is_little_endian else "big")),)
    return None


def _plain_text(element: RawDataElement) -> str | None:
    """A UID, or a code of one value, as pydicom would give it; None where it is to be asked."""
    value = (element.value or b"").strip(b" \0")
    if element.VR == "UI" and value.replace(b".", b"").isdigit():
        return value.decode("ascii")
    if element.VR == "CS" and value.isascii() and b"\\" not in value:
        return value.decode("ascii")
    return None


def text(dataset: Dataset, keyword: str) -> str:
    """Return a text element without padding, "" where absent or malformed."""
    element = _undecoded(dataset, keyword)
    if element is not None and (plain := _plain_text(element)) is not None:
        return plain
    value = value_of(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return an integer element, None where absent or malformed."""
    values = numbers(dataset, keyword)
    return int(values[0]) if len(values) == 1 else None


def numbers(dataset: Dataset | None, keyword: str) -> tuple[float, ...]:
    """Return a numeric element's finite values, () where absent or any of them is malformed."""
    if dataset is None:
        return ()
    element = _undecoded(dataset, keyword)
    values = None if element is None else _plain_numbers(element)
    if values is None:
        values = _decoded_numbers(value_of(dataset, keyword))
    return values if all(abs(part) < float("inf") for part in values) else ()


def _decoded_numbers(value: Any) -> tuple[float, ...]:
    if value is None or value == "":
        return ()
    try:
        return tuple(float(part) for part in ([value] if isinstance(value, str | int | float) else value))
    except PARSE_ERRORS:
        return ()


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
