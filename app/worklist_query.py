"""What somebody looks for in the worklist, from the words of an address: checked, and refused in words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, Self, TypeVar
from urllib.parse import urlencode

from app.errors import Rejected
from app.outcomes import State
from app.worklist_rows import folded

LONGEST_SEARCH: Final = 200
MOST_TERMS: Final = 8
FIRST_YEAR, LAST_YEAR = 1970, 9998
_TERM = re.compile(r"[\s,^=]+")
_CURSOR = re.compile(r"([01])~(-?[0-9]{1,12}(?:\.[0-9]{1,20})?(?:e-[0-9]{1,3})?)~([0-9a-f]{32}-[0-9a-f]{16})", re.ASCII)
_BUNDLE = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

T = TypeVar("T", bound=StrEnum)


class Priority(StrEnum):
    """Whether a finding flags a study for early reading."""

    URGENT = "urgent"
    ROUTINE = "routine"


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the order of the worklist: urgent first, then the newest, then by key."""

    urgent: int
    received_at: float
    key: str

    def text(self) -> str:
        """As it stands in an address."""
        return f"{self.urgent}~{self.received_at!r}~{self.key}"

    @classmethod
    def of(cls, text: str, name: str) -> Self:
        """Read what `text` wrote.

        Raises:
            Rejected: It is something else.
        """
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise Rejected(f"{name} is no place in the worklist; begin again at its first page")
        return cls(int(found[1]), float(found[2]), found[3])


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for.

    Attributes:
        text: Words that all have to stand in patient, accession, description, modality, study date or present findings;
            or a StudyInstanceUID.
        state: None is every.
        detector: Name of a bundle that the study was routed to; "" is every.
        priority: None is both.
        since, until: Days of arrival, UTC, both included.
        after, before: Show what follows a place, or what precedes it; at most one of them.
    """

    text: str = ""
    state: State | None = None
    detector: str = ""
    priority: Priority | None = None
    since: date | None = None
    until: date | None = None
    after: Cursor | None = None
    before: Cursor | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """The words of `text` as they are compared."""
        return tuple(filter(None, _TERM.split(folded(self.text))))

    @property
    def filters(self) -> bool:
        """Whether anything is filtered."""
        return replace(self, after=None, before=None) != Query()

    def address(self, **changes: object) -> str:
        """The words of an address for this query, with changes; without a place in the list unless one is given."""
        given = replace(self, after=None, before=None)
        given = replace(given, **changes)  # type: ignore[arg-type]
        pairs = {
            "q": given.text,
            "state": given.state or "",
            "detector": given.detector,
            "priority": given.priority or "",
            "since": given.since.isoformat() if given.since else "",
            "until": given.until.isoformat() if given.until else "",
            "after": given.after.text() if given.after else "",
            "before": given.before.text() if given.before else "",
        }
        words = urlencode({name: str(value) for name, value in pairs.items() if value})
        return f"?{words}" if words else "?"


NAMES: Final = ("q", "state", "detector", "priority", "since", "until", "after", "before")


def query_of(given: Sequence[tuple[str, str]]) -> Query:
    """Read the words of an address; empty ones count as left out.

    Raises:
        Rejected: A word is unknown, stands twice, or says nothing that can be looked for.
    """
    words = _once(given)
    after = Cursor.of(words["after"], "after") if "after" in words else None
    before = Cursor.of(words["before"], "before") if "before" in words else None
    if after and before:
        raise Rejected("after and before cannot stand together; leave one out")
    detector = words.get("detector", "")
    if detector and not _BUNDLE.fullmatch(detector):
        raise Rejected("detector is no name of a bundle; choose one of the list")
    since, until = _day(words, "since"), _day(words, "until")
    if since and until and since > until:
        raise Rejected(f"since ({since}) lies after until ({until}); exchange them")
    return Query(
        text=_text(words.get("q", "")),
        state=_choice(State, words, "state"),
        detector=detector,
        priority=_choice(Priority, words, "priority"),
        since=since,
        until=until,
        after=after,
        before=before,
    )


def seconds_of(day: date) -> float:
    """Unix time at which a day begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _once(given: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    words: dict[str, str] = {}
    for name, value in given:
        if name not in NAMES:
            near = get_close_matches(name[:64], NAMES, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(NAMES)}"
            raise Rejected(f"the address holds a word that the worklist does not know{hint}")
        if name in words:
            raise Rejected(f"{name} stands twice in the address; leave one out")
        words[name] = value.strip()
    return {name: value for name, value in words.items() if value}


def _text(text: str) -> str:
    if len(text) > LONGEST_SEARCH:
        raise Rejected(f"q is longer than {LONGEST_SEARCH} characters; look for less")
    if any(ord(letter) < 0x20 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise Rejected("q holds characters that are no text; write what you look for once more")
    if len(_TERM.split(text)) > MOST_TERMS:
        raise Rejected(f"q has more than {MOST_TERMS} words; look for less")
    return text


def _choice(kind: type[T], words: Mapping[str, str], name: str) -> T | None:
    if name not in words:
        return None
    try:
        return kind(words[name])
    except ValueError:
        raise Rejected(f"{name} is one of {', '.join(kind)}") from None


def _day(words: Mapping[str, str], name: str) -> date | None:
    if name not in words:
        return None
    try:
        day = date.fromisoformat(words[name]) if _DAY.fullmatch(words[name]) else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Rejected(f"{name} is no day; write it as 2026-11-22")
    return day
