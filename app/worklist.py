"""The index of studies: what a list is searched by, kept in the workflow database, so that 100 000 are no burden.

It is never the truth, only an index of it: the outcomes on disk are. Whoever writes an outcome leaves a mark beside it
(`app.outcomes.tell_changed`); the web side takes the marks in, and compares everything now and then, so that what was
missed is mended. Nothing that goes wrong here reaches a study.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

import sqlalchemy as sa
import structlog

from app import outcomes, worklist_table, worklist_told
from app.arrivals import Arrivals, is_arrival
from app.errors import Rejected, Retryable
from app.outcomes import CHANGED, KEY, OUTCOME, StudyOutcome
from app.revisions import related
from app.settings import Settings
from app.tables import asking
from app.worklist_arrivals import ArrivalRows, without_arrivals
from app.worklist_query import Query
from app.worklist_rows import Names, Row, damaged_row, names_of, row_of
from app.worklist_table import Listing

log = structlog.get_logger()

AT_ONCE: Final = 200
"""Marks taken in one go."""
BATCH: Final = 25
PAGE: Final = 50


@dataclass(frozen=True)
class Worklist:
    """The index of one installation.

    Attributes:
        settings: Of the installation.
        engine: The workflow database, migrated.
    """

    settings: Settings
    engine: sa.Engine
    _lock: Lock = field(default_factory=Lock, init=False, compare=False)
    _detectors: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False, compare=False)
    """By the turn of the index that they were read at: one."""
    _coming: ArrivalRows = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_coming", ArrivalRows(Arrivals(self.settings), self._names))

    def search(self, query: Query, size: int = PAGE) -> Listing:
        """The studies that a query finds, with what has changed up to now.

        Raises:
            Retryable: The database does not answer, or is not set up.
        """
        self.catch_up()
        with asking(self.engine) as connection:
            return worklist_table.listing(connection, query, size)

    def revisions(self, study: str) -> tuple[Row, ...]:
        """Every revision of a study, by the hash of its UID.

        Raises:
            Retryable: See `search`.
        """
        with asking(self.engine) as connection:
            return worklist_table.rows_of_study(connection, study)

    def detectors(self) -> tuple[str, ...]:
        """Names of the bundles that any study was routed to, sorted.

        Raises:
            Retryable: See `search`.
        """
        with asking(self.engine) as connection:
            turn, _ = worklist_table.turn(connection)
            known = self._detectors.get(turn)
            if known is None:
                known = worklist_table.detectors(connection)
                self._detectors.clear()
                self._detectors[turn] = known
            return known

    def turn(self) -> tuple[int, bool]:
        """How often the index has changed, by whomever, and whether it was ever filled as a whole.

        Raises:
            Retryable: See `search`.
        """
        with asking(self.engine) as connection:
            return worklist_table.turn(connection)

    def is_whole(self) -> bool:
        """Whether everything that there is was entered once; where it was, what has changed up to now is taken in.

        Raises:
            Retryable: See `search`.
        """
        if not self.turn()[1]:
            return False
        self.catch_up()
        return True

    def catch_up(self, most: int = AT_ONCE, *, waited_for: bool = True) -> int:
        """Take in what has changed since the last look; returns how many marks there were.

        Args:
            most: At most so many marks.
            waited_for: Whether somebody waits for the answer: what takes long is then left to another look.

        Raises:
            Retryable: The database cannot be written; the marks stay.
        """
        with self._lock:
            coming = self._coming.seen(waited_for=waited_for)
            marked = _marks(self.settings.results / CHANGED)[:most]
            # First: what is written after this leaves a mark anew.
            for mark in marked:
                mark.unlink(missing_ok=True)
            keys = [mark.name for mark in marked if KEY.fullmatch(mark.name)]
            try:
                self._enter({key.partition("-")[0] for key in keys}, keys)
            except (Retryable, OSError) as error:
                for key in keys:
                    outcomes.tell_changed(self.settings.results, key)
                if isinstance(error, Retryable):
                    raise
                raise Retryable(f"the results cannot be read: {error.strerror}; see their disk") from error
            if coming is not None:
                self._coming.enter(self.engine, coming, waited_for=waited_for)
            return len(marked)

    def compare(self) -> int:
        """Compare the index with every outcome on disk and mend it; returns how many revisions differed.

        Raises:
            Retryable: The database does not answer, or is not set up.
        """
        spooled = self._coming.arrivals.spooled()
        there = _on_disk(self.settings.results)
        with asking(self.engine) as connection:
            have = without_arrivals(worklist_table.known(connection))
        differ = [key for key, changed in there.items() if have.get(key) != changed]
        differ += [key for key in have if key not in there]
        for keys in _batches(sorted(differ), BATCH):
            with self._lock:
                self._enter({key.partition("-")[0] for key in keys}, keys)
        with self._lock:
            self._coming.compare(spooled, frozenset(key.partition("-")[0] for key in there))
        with asking(self.engine) as connection:
            worklist_told.sweep(connection)
            if not worklist_table.turn(connection)[1]:
                worklist_table.advance(connection, whole=True)
        if differ:
            log.info("worklist_mended", revisions=len(differ))
        return len(differ)

    def forget(self, keys: Sequence[str]) -> None:
        """Remove study revisions whose results are gone.

        Raises:
            Retryable: The database does not answer, or is not set up.
        """
        with asking(self.engine) as connection:
            worklist_table.remove(connection, keys)

    def _enter(self, studies: Iterable[str], keys: Sequence[str]) -> None:
        """Enter every revision of these studies, since one may stand for another; `keys` may be new or gone."""
        wanted = sorted(studies)
        if not wanted:
            return
        with asking(self.engine) as connection:
            every = (row for study in wanted for row in worklist_table.rows_of_study(connection, study))
            before = {row.key: row for row in every if not is_arrival(row.key)}
        rows, gone = self._rows(sorted({*keys, *before}), before)
        with asking(self.engine) as connection:
            worklist_table.put(connection, rows)
            worklist_table.remove(connection, gone)
        self._coming.begun(row.key.partition("-")[0] for row in rows)

    def _rows(self, keys: Sequence[str], before: Mapping[str, Row]) -> tuple[list[Row], list[str]]:
        """What the index is to hold of these revisions, and which of them are gone."""
        found: dict[str, tuple[int, StudyOutcome]] = {}
        rows, gone = [], []
        for key in keys:
            looked = self._look(key)
            if looked is None:
                gone.append(key)
            elif isinstance(looked[1], StudyOutcome):
                found[key] = (looked[0], looked[1])
            else:
                rows.append(damaged_row(key, looked[0]))
        for family in _families([outcome for _, outcome in found.values()]):
            relation = related(family)
            for outcome in family:
                names = self._names(outcome, before.get(outcome.key))
                rows.append(row_of(outcome, relation[outcome.key], names, found[outcome.key][0]))
        return rows, gone

    def _look(self, key: str) -> tuple[int, StudyOutcome | None] | None:
        """When an outcome was written, and itself, None where it is damaged; None where there is none."""
        folder = self.settings.results / key
        try:
            changed = (folder / OUTCOME).stat().st_mtime_ns
            outcome = outcomes.read(folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Rejected as error:
            log.error("outcome_damaged", study=key[:12], reason=str(error))  # noqa: TRY400  the reason says it all
            return changed, None
        return None if outcome is None else (changed, outcome)

    def _names(self, outcome: StudyOutcome, before: Row | None) -> Names:
        """Read once: what a revision is called does not change, and its images go before its results."""
        if before is not None and before.names.study_uid and before.names != Names(before.names.study_uid):
            return before.names
        return names_of(self.settings.spool.folder, self.settings.results, outcome)


def _marks(folder: Path) -> list[Path]:
    """The oldest first."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found.append((entry.stat().st_mtime_ns, entry.path))
                except FileNotFoundError:
                    continue  # another process has taken it
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Retryable(f"{folder}: {error.strerror}; the index of studies reads there what has changed") from error
    return [Path(path) for _, path in sorted(found)]


def _on_disk(results: Path) -> Mapping[str, int]:
    """When each outcome was last written, by key."""
    found = {}
    for folder in results.iterdir() if results.is_dir() else ():
        if KEY.fullmatch(folder.name):
            with suppress(FileNotFoundError, NotADirectoryError):
                found[folder.name] = (folder / OUTCOME).stat().st_mtime_ns
    return found


def _families(found: Sequence[StudyOutcome]) -> Iterator[list[StudyOutcome]]:
    studies: dict[str, list[StudyOutcome]] = {}
    for outcome in found:
        studies.setdefault(outcome.key.partition("-")[0], []).append(outcome)
    yield from studies.values()


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """In the order of their studies: all revisions of one are read together."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


@dataclass
class Watch:
    """Looks after the index again and again, in the background of the web side.

    Attributes:
        worklist: The index.
        every_s: Seconds between two comparisons of everything.
    """

    worklist: Worklist
    every_s: float = 600.0
    turn: int = field(default=-1, init=False)
    ended: bool = field(default=False, init=False)
    _problem: str = field(default="", init=False)
    _compared_at: float | None = field(default=None, init=False)

    @property
    def running(self) -> bool:
        """Whether it has looked and was not ended."""
        return self.turn >= 0 and not self.ended

    def look(self) -> None:
        """Take in what has changed. What goes wrong is logged once, and tried again with the next look."""
        try:
            self.worklist.catch_up(waited_for=False)
            self.turn, _ = self.worklist.turn()
        except Retryable as error:
            self._tell(str(error))
        except OSError as error:
            self._tell(f"results: {error.strerror}")
        else:
            self._problem = ""

    def compare(self) -> None:
        """Compare everything, where that is due."""
        now = time.monotonic()
        if self._compared_at is not None and now - self._compared_at < self.every_s:
            return
        try:
            self.worklist.compare()
        except (Retryable, OSError) as error:
            self._tell(str(error) if isinstance(error, Retryable) else f"results: {error.strerror}")
        else:
            self._compared_at = now

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("worklist_behind", reason=problem)
        self._problem = problem
