"""Ways to look at the values of one tag: equality, regular expression, range, presence."""

import math
import re
from dataclasses import dataclass
from typing import assert_never

Scalar = str | int | float
SHOWN_PATTERN = 60
LONGEST_TEXT = 1024
YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
AGE = re.compile(r"^(\d{1,3})([DWMY])$", re.ASCII)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equality with any of some values: text without regard to case and outer blanks, numbers as numbers."""

    options: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression found anywhere in a value, without regard to case."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Within:
    """A number between two inclusive limits; None is open. An age string counts in years ("018M" is 1.5)."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Present:
    """The tag is there and not empty."""


Test = OneOf | Matches | Within | Present


def wanted_by(test: Test) -> str:
    """What a test asks for, to stand behind "wanted"."""
    match test:
        case OneOf(options):
            return " or ".join(str(option) for option in options)
        case Matches(pattern):
            return f"a match of /{_shortened(pattern)}/"
        case Within(low, high):
            return in_words(low, high)
        case Present():
            return "any value"
        case _:  # pragma: no cover  the type checker proves it
            assert_never(test)


def _shortened(pattern: str) -> str:
    """Patterns in all languages of Europe fill a screen; the rule itself has the whole."""
    return pattern if len(pattern) <= SHOWN_PATTERN else f"{pattern[: SHOWN_PATTERN - 1]}…"


def passes(test: Test, values: tuple[Scalar, ...]) -> bool:
    """Whether any of a tag's values is as asked for; no values means that the tag is absent or empty."""
    match test:
        case OneOf(options):
            return any(_equal(value, option) for value in values for option in options)
        case Matches(pattern):
            found = re.compile(pattern, re.IGNORECASE).search
            return any(found(str(value)[:LONGEST_TEXT]) for value in values)
        case Within(low, high):
            numbers = (_number(value) for value in values)
            return any(number is not None and inside(number, low, high) for number in numbers)
        case Present():
            return bool(values)
        case _:  # pragma: no cover  the type checker proves it
            assert_never(test)


def inside(number: float, low: float | None, high: float | None) -> bool:
    """Whether a number lies between two inclusive limits; None is open."""
    return (low is None or number >= low) and (high is None or number <= high)


def in_words(low: float | None, high: float | None) -> str:
    """A range in words: "8 to 400", "at least 8", "at most 400", "exactly 1"."""
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return f"{low} to {high}" if low != high else f"exactly {low}"


def _equal(value: Scalar, option: Scalar) -> bool:
    if isinstance(option, str):
        return str(value).strip().casefold() == option.strip().casefold()
    return _number(value) == option


def _number(value: Scalar) -> float | None:
    age = AGE.match(value.strip()) if isinstance(value, str) else None
    if age:
        return int(age[1]) * YEARS_PER_UNIT[age[2]]
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
