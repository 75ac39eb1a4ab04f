"""Rows of the index for studies that no worker has begun: entered as images come, gone once the study is begun."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from app import worklist_table
from app.arrivals import Arrivals, begun_as, is_arrival, key_of
from app.outcomes import StudyOutcome
from app.revisions import Relation
from app.tables import asking
from app.worklist_rows import Names, Row, row_of

ENTERED_AT_ONCE: Final = 40
"""In one look: of each a header is read."""
WAITED_FOR: Final = 4
"""The same where a page waits for it."""
AGAIN_S: Final = 1.0
"""Until the row of a study that goes on arriving is written again."""
SHARE: Final = 10
"""Between two looks pass so many times the time that the last one took: a spool of 100 000 takes some tenths."""
CHEAP_S: Final = 0.01
"""What a page may wait for; a look that takes longer is left to the background."""

NamesOf = Callable[[StudyOutcome, Row | None], Names]


@dataclass
class ArrivalRows:
    """Keeps the rows of arrivals. Not safe for several threads at once.

    Attributes:
        arrivals: What has come.
        names_of: Reads whose study it is; gets the row that is there already.
        clock: Monotonic seconds.
    """

    arrivals: Arrivals
    names_of: NamesOf
    clock: Callable[[], float] = time.monotonic
    _entered: dict[str, tuple[int, float]] | None = field(default=None, init=False)
    """By study: the last image that was seen, and when that was entered. None: nobody knows what the tables hold."""
    _unmarked: dict[str, int] = field(default_factory=dict, init=False)
    _due: float = field(default=float("-inf"), init=False)
    _took: float = field(default=0.0, init=False)

    def seen(self, *, waited_for: bool) -> Mapping[str, int] | None:
        """What is marked for a worker now; None where it is too early to look again.

        To be asked before outcomes are looked at: a study that is begun meanwhile is then in either.

        Args:
            waited_for: Whether somebody waits, so that only a quick look is due.
        """
        began = self.clock()
        if began < self._due or (waited_for and self._took > CHEAP_S):
            return None
        found = self.arrivals.marked()
        self._took = self.clock() - began
        self._due = began + self._took * (SHARE + 1)
        return found

    def enter(self, engine: sa.Engine, seen: Mapping[str, int], *, waited_for: bool) -> None:
        """Bring the rows up to what was seen, and to what lies there without a mark, a part of them at a time.

        Raises:
            Retryable: The database does not answer, or is not set up.
        """
        seen = {**self._unmarked, **seen}
        entered = self._entered
        if entered is None:
            with asking(engine) as connection:
                entered = {key.partition("-")[0]: (0, 0.0) for key in worklist_table.ending(connection, key_of(""))}
        gone = [study for study in entered if study not in seen]
        now = self.clock()
        fresh = [study for study, at in seen.items() if _is_due(entered.get(study), at, now)]
        # What nobody has seen yet comes before what goes on arriving.
        fresh = sorted(fresh, key=entered.__contains__)[: WAITED_FOR if waited_for else ENTERED_AT_ONCE]
        rows, begun = self._rows(engine, fresh, seen)
        if rows or gone or begun:
            with asking(engine) as connection:
                worklist_table.put(connection, rows)
                worklist_table.remove(connection, [key_of(study) for study in (*gone, *begun)])
        for study in gone:
            del entered[study]
        for study in fresh:
            entered[study] = seen[study], now
        self.begun(begun)
        self._entered = entered

    def begun(self, studies: Iterable[str]) -> None:
        """Leave out studies that have an outcome by now, unless a mark says that more has come.

        Args:
            studies: Hashes of their UIDs.
        """
        for study in studies:
            self._unmarked.pop(study, None)

    def compare(self, spooled: Mapping[str, int], known: frozenset[str]) -> None:
        """Find what lies in the spool without a mark and without an outcome, as after a power cut.

        Args:
            spooled: Every study in the spool, as it was before outcomes were looked at.
            known: Hashes of the studies that have an outcome.
        """
        self._unmarked = {study: at for study, at in spooled.items() if study not in known}
        self._entered, self._due = None, float("-inf")

    def _rows(self, engine: sa.Engine, studies: list[str], seen: Mapping[str, int]) -> tuple[list[Row], list[str]]:
        """New rows, and those of the studies that need none: begun, or gone."""
        rows, begun = [], []
        for study in studies:
            outcome = self.arrivals.outcome(study)
            with asking(engine) as connection:
                there = {row.key: row for row in worklist_table.rows_of_study(connection, study)}
            if outcome is None or not begun_as(outcome).isdisjoint(there):
                begun.append(study)
                continue
            names = self.names_of(outcome, there.get(outcome.key))
            rows.append(row_of(outcome, Relation(), names, seen[study]))
        return rows, begun


def without_arrivals(keys: Mapping[str, int]) -> Mapping[str, int]:
    """Of keys in the index those of outcomes."""
    return {key: changed for key, changed in keys.items() if not is_arrival(key)}


def _is_due(entered: tuple[int, float] | None, at: int, now: float) -> bool:
    return entered is None or (entered[0] != at and now - entered[1] >= AGAIN_S)
