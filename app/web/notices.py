"""What a page has to say once, after a form: kept here and told by no address, so that nobody can write one."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

KEPT_S: Final = 60.0
MOST: Final = 500
MOST_TYPED: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Notice:
    """One of them.

    Attributes:
        tone: A class of the styles: good, bad, wait.
        words: For people.
        place: Id of the heading below which a page shows it; "" is its top.
        form: Where a form that was not taken had been sent to.
        typed: Its fields, for the page to show them again.
    """

    tone: str
    words: str
    place: str = ""
    form: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)

    def typed_in(self, form: str, **about: str) -> Mapping[str, str]:
        """What somebody had typed into that form, where its fields say that it is the one; nothing of any other."""
        fits = form == self.form and all(self.typed.get(name) == value for name, value in about.items())
        return self.typed if fits else {}


@dataclass
class Notices:
    """Those that wait for their page, for a minute; of too many the oldest are forgotten.

    Attributes:
        clock: Seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _kept: OrderedDict[tuple[str, str], tuple[float, Notice]] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def leave(self, subject: str, path: str, notice: Notice) -> None:
        """Have the next page of `path` that `subject` (a session, a user of the proxy) loads say something."""
        if not subject:
            return
        if sum(len(name) + len(value) for name, value in notice.typed.items()) > MOST_TYPED:
            notice = Notice(notice.tone, notice.words, notice.place)
        with self._lock:
            self._kept[subject, path] = self.clock() + KEPT_S, notice
            self._kept.move_to_end((subject, path))
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def take(self, subject: str, path: str) -> Notice | None:
        """What waits for that page, once; None where nothing does."""
        with self._lock:
            until, notice = self._kept.pop((subject, path), (0.0, None))
            return notice if self.clock() < until else None
