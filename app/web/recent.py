"""The newest studies, kept for some seconds: what pages of bundles and of the system count over."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice
from pathlib import Path

from app import outcomes
from app.errors import Rejected
from app.findings import Report
from app.outcomes import OUTCOME, StudyOutcome
from app.settings import Settings

MOST = 300
GOOD_FOR_S = 15.0


@dataclass
class Recent:
    """Reads at most `MOST` outcomes, and not again for a while: several people may look at once.

    Attributes:
        settings: Of the installation.
        clock: Monotonic seconds.
    """

    settings: Settings
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _found: Sequence[StudyOutcome] = field(default=(), init=False)
    _until: float = field(default=float("-inf"), init=False)

    def studies(self) -> Sequence[StudyOutcome]:
        """Those that changed last, the newest first; damaged ones are left out, and counted elsewhere."""
        with self._lock:
            if self.clock() >= self._until:
                self._found = tuple(islice(_newest(self.settings.results), MOST))
                self._until = self.clock() + GOOD_FOR_S
            return self._found

    def reports(self, bundle: str) -> Sequence[Report]:
        """What a bundle said of them."""
        return [report for each in self.studies() for report in each.reports if report.algorithm.name == bundle]


def _newest(results: Path) -> Iterator[StudyOutcome]:
    """What changed last; more is listed than wanted, since some may be damaged or gone by now."""
    try:
        changed = [(_changed(Path(each.path)), each.name) for each in os.scandir(results) if each.is_dir()]
    except FileNotFoundError:
        return
    for at, name in nlargest(2 * MOST, changed):
        try:
            outcome = outcomes.read(results / name) if at else None
        except Rejected:
            continue
        if outcome is not None:
            yield outcome


def _changed(folder: Path) -> int:
    try:
        return (folder / OUTCOME).stat().st_mtime_ns
    except OSError:
        return 0
