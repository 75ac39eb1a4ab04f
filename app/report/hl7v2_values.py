"""Texts, codes, numbers and names as HL7 v2.5.1 writes them (chapter 2, sections 2.7 and 2.A)."""

import math
from collections.abc import Iterable

from app.codes import Code
from app.identity import PersonName, exact, one_line

ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})
MORE = "..."
REPRESENTATIONS = {"alphabetic": "A", "ideographic": "I", "phonetic": "P"}
"""Table 0465, Name/address representation."""


def escaped(value: str) -> str:
    """Write an identifier so that nothing in it is taken for a delimiter."""
    return exact(value).translate(ESCAPES)


def text(value: str) -> str:
    """Write text for people, in one line."""
    return one_line(value).translate(ESCAPES)


def shortened(value: str, length: int) -> str:
    """Write text for people, in one line of at most `length` characters, without cutting an escape sequence."""
    written = text(value)
    if len(written) <= length:
        return written
    cut = written[: length - len(MORE)]
    # Every escape sequence has two backslashes: an odd number of them is one that was cut.
    return (cut[: cut.rindex("\\")] if cut.count("\\") % 2 else cut) + MORE


def components(*parts: str) -> str:
    """Join the components of a field, without the empty ones at its end."""
    return "^".join(map(text, parts)).rstrip("^")


def coded(*codes: Code) -> str:
    """Write a code and, where given, another one for the same (datatypes CE and CWE)."""
    return "^".join(text(part) for code in codes for part in (code.value, code.meaning, code.scheme))


def number(value: float) -> str:
    """Write a number with at most two decimals (datatype NM).

    Raises:
        ValueError: It is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return f"{value:.2f}".rstrip("0").rstrip(".")


def person(name: PersonName) -> str:
    """Write one representation of a patient's name (datatype XPN)."""
    parts = components(name.family, name.given, name.middle, name.suffix, name.prefix)
    return f"{parts}{'^' * (6 - parts.count('^'))}L^{REPRESENTATIONS[name.representation]}"


def names_of_people(names: Iterable[PersonName]) -> list[str]:
    """Write the representations of someone else's name (datatype XCN)."""
    written = []
    for name in names:
        parts = components("", name.family, name.given, name.middle, name.suffix, name.prefix)
        written.append(f"{parts}{'^' * (14 - parts.count('^'))}{REPRESENTATIONS[name.representation]}")
    return written
