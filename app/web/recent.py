"""The newest studies, kept for some seconds: what pages of bundles and of the system count over."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice
from pathlib import Path

import structlog

from app import outcomes
from app.errors import Rejected, Retryable
from app.findings import Report
from app.outcomes import OUTCOME, StudyOutcome
from app.settings import Settings
from app.tables import asking
from app.worklist import Worklist
from app.worklist_keys import last_changed

MOST = 300
LISTED = 2 * MOST
"""More than is wanted, since some may be damaged or gone by now."""
GOOD_FOR_S = 15.0

log = structlog.get_logger()


@dataclass
class Recent:
    """Reads at most `MOST` outcomes, each once as long as it stays as it is, and looks at most every `GOOD_FOR_S`.

    Attributes:
        settings: Of the installation.
        worklist: The index of studies; where it cannot be used, the folder of results is looked through.
        clock: Monotonic seconds.
    """

    settings: Settings
    worklist: Worklist
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _read: Mapping[tuple[int, str], StudyOutcome] = field(default_factory=dict, init=False)
    """By the time of its last change and its key, in this order."""
    _until: float = field(default=float("-inf"), init=False)

    def studies(self) -> Sequence[StudyOutcome]:
        """Those that changed last, the newest first; damaged ones are left out, and counted elsewhere."""
        with self._lock:
            if self.clock() >= self._until:
                self._read = dict(islice(self._newest(), MOST))
                self._until = self.clock() + GOOD_FOR_S
            return tuple(self._read.values())

    def reports(self, bundle: str) -> Sequence[Report]:
        """What a bundle said of them."""
        return [report for each in self.studies() for report in each.reports if report.algorithm.name == bundle]

    def _newest(self) -> Iterator[tuple[tuple[int, str], StudyOutcome]]:
        for change in self._changes():
            try:
                outcome = self._read.get(change) or outcomes.read(self.settings.results / change[1])
            except Rejected:
                continue
            if outcome is not None:
                yield change, outcome

    def _changes(self) -> Sequence[tuple[int, str]]:
        """What changed last, and when (ns)."""
        try:
            if self.worklist.is_whole():
                with asking(self.worklist.engine) as connection:
                    return last_changed(connection, LISTED)
        except Retryable as error:
            log.warning("listed_without_index", reason=str(error))
        return nlargest(LISTED, _on_disk(self.settings.results))


def _on_disk(results: Path) -> Iterator[tuple[int, str]]:
    try:
        entries = list(os.scandir(results))
    except FileNotFoundError:
        return
    for each in entries:
        try:
            yield Path(each.path, OUTCOME).stat().st_mtime_ns, each.name
        except OSError:
            continue
