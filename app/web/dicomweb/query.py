"""The query of a QIDO-RS search (PS3.18 section 8.3.4): keys, fields, and a page. Anybody may have written it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.web.dicomweb.attributes import MATCHED, Level, keyword_of, vr_of
from app.worklist_told import Sought
from bundles.common.strict import nearest

MOST: Final = 1000
"""Answers of one search; who wants more asks again with `offset`."""
LONGEST: Final = 1024
NOT_FUZZY: Final = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
Match = Callable[[str], bool]

_DATE: Final = re.compile(r"\d{8}")
_TIME: Final = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_UID: Final = re.compile(r"[0-9.]{1,64}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Stands in the index as it stands in the header, and is no pattern."""
_FOLDED: Final = frozenset({"PN"})
"""Compared without case (PS3.4 C.2.2.2.1 lets names be)."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search.

    Attributes:
        keys: What each attribute has to fit, by keyword; what is not asked for is not there.
        studies: UIDs that StudyInstanceUID is limited to; () where it is not.
        sought: The same, as far as the index of studies can leave out others by it.
        include: Further attributes to answer; None is every one that is known.
        limit, offset: The page.
        warnings: For the answer, in words.
    """

    keys: Mapping[str, Match] = field(default_factory=dict)
    studies: tuple[str, ...] = ()
    sought: Sought = field(default_factory=Sought)
    include: frozenset[str] | None = frozenset()
    limit: int = MOST
    offset: int = 0
    warnings: tuple[str, ...] = ()


def parse(items: Sequence[tuple[str, str]], level: Level) -> Query:
    """Read the parameters of a search.

    Args:
        items: Names and values, decoded, in their order.
        level: What is searched for; attributes of the levels above may be matched as well.

    Raises:
        ValueError: One cannot be used; the message says which, and what to write.
    """
    keys: dict[str, Match] = {}
    words: dict[str, str] = {}
    studies: tuple[str, ...] = ()
    include: frozenset[str] | None = frozenset()
    numbers = {"limit": MOST, "offset": 0}
    warnings = []
    for name, value in items:
        if len(value) > LONGEST:
            raise ValueError(f"{name[:64]}: longer than {LONGEST} characters")
        if name in numbers:
            numbers[name] = _number(name, value)
        elif name == "fuzzymatching":
            warnings += [NOT_FUZZY] if _truth(value) else []
        elif name == "includefield":
            include = _included(include, value)
        elif name != "accept":
            keyword = _matchable(name, level)
            if value:  # an empty one fits everything, and asks for the attribute
                if keyword in keys:
                    raise ValueError(f"{keyword} stands there twice")
                keys[keyword], words[keyword] = matcher(keyword, value), value
                studies = _uids(value) if keyword == "StudyInstanceUID" else studies
            elif include is not None:
                include |= {keyword.partition(".")[0]}
    page = min(numbers["limit"], MOST), numbers["offset"]
    return Query(keys, studies, sought(words), include, *page, tuple(warnings))


def sought(words: Mapping[str, str]) -> Sought:
    """What the index can leave out studies by, of keys that `matcher` takes: plain words, days and ranges of days."""

    def plain(keyword: str) -> str:
        word = words.get(keyword, "").rstrip(" ")
        return word if _PLAIN.fullmatch(word) else ""

    first, dash, last = words.get("StudyDate", "").partition("-")
    return Sought(plain("PatientID"), plain("AccessionNumber"), first, last if dash else first)


def matcher(keyword: str, wanted: str) -> Match:
    """What tells whether one value of an attribute fits what was asked for.

    Raises:
        ValueError: What was asked for cannot be used with such an attribute.
    """
    vr = vr_of(keyword)
    if vr == "UI":
        every = frozenset(_uids(wanted))
        return lambda value: value in every
    if vr == "DA":
        return _range(keyword, wanted, _DATE, lambda text: (text, text))
    if vr == "TM":
        return _range(keyword, wanted, _TIME, _span)
    if vr in {"IS", "US"}:
        if not wanted.strip().lstrip("+-").isdecimal():
            raise ValueError(f"{keyword}: '{wanted[:64]}' is no whole number")
        number = int(wanted)
        return lambda value: value.strip().lstrip("+-").isdecimal() and int(value) == number
    pattern = wanted.rstrip(" ^")
    if vr in _FOLDED:
        return lambda value: fits_pattern(value.rstrip(" ^").casefold(), pattern.casefold())
    return lambda value: fits_pattern(value.rstrip(" "), pattern)


def fits_pattern(value: str, pattern: str) -> bool:
    """Whether a value fits a pattern with * and ? (PS3.4 C.2.2.2.4), in time of the product of their lengths at most.

    A regular expression would take time without end for many stars.
    """
    at = place = 0
    star, resume = -1, 0
    while at < len(value):
        if place < len(pattern) and pattern[place] == "*":
            star, resume = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in {"?", value[at]}:
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


def _matchable(name: str, level: Level) -> str:
    keyword = keyword_of(name)
    known = sorted(key for each in level.above for key in MATCHED[each])
    if keyword not in known:
        raise ValueError(f"{keyword[:64]} is not matched in a search for {level}{nearest(keyword, known)}")
    return keyword


def _included(before: frozenset[str] | None, value: str) -> frozenset[str] | None:
    if value == "all" or before is None:
        return None
    # Whatever the standard knows may be asked for; what we do not keep of it is left out of the answer.
    return before | {keyword_of(name.strip()).partition(".")[0] for name in value.split(",") if name.strip()}


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise ValueError(f"{name}: '{value[:64]}' is no whole number from 0")
    return int(value)


def _truth(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError(f"fuzzymatching: '{value[:64]}' is neither true nor false")
    return value == "true"


def _uids(wanted: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in re.split(r"[,\\]", wanted) if part.strip())
    if not found or not all(_UID.fullmatch(each) for each in found):
        raise ValueError(f"'{wanted[:64]}' is no UID, or list of UIDs with commas between")
    return found


def _range(keyword: str, wanted: str, form: re.Pattern[str], span: Callable[[str], tuple[str, str]]) -> Match:
    """Of a range "from-until", either end open, or of one value (PS3.4 C.2.2.2.5)."""
    first, dash, last = wanted.partition("-")
    ends = [each for each in (first, last) if each]
    if not ends or not all(form.fullmatch(each) for each in ends):
        example = "20260131, 20260101-20260131" if form is _DATE else "0930, 0800-120000"
        raise ValueError(f"{keyword}: '{wanted[:64]}' is no value or range; write {example}")
    low = span(first)[0] if first else ""
    high = span(last)[1] if last else ("" if dash else span(first)[1])

    def fits(value: str) -> bool:
        if not form.fullmatch(value):
            return False
        start, end = span(value)
        return (not low or end >= low) and (not high or start <= high)

    return fits


def _span(time: str) -> tuple[str, str]:
    """First and last microsecond that a time of day may mean: "09" is all of that hour."""
    plain = time.replace(".", "")
    return plain.ljust(12, "0"), plain.ljust(12, "9")
