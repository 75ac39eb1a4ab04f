"""The newest studies, kept for some seconds: what pages of bundles and of the system count over."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app import outcomes
from app.findings import Report
from app.outcomes import StudyOutcome
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
        """The newest first."""
        with self._lock:
            if self.clock() >= self._until:
                self._found = tuple(outcomes.studies(self.settings, MOST))
                self._until = self.clock() + GOOD_FOR_S
            return self._found

    def reports(self, bundle: str) -> Sequence[Report]:
        """What a bundle said of them."""
        return [report for each in self.studies() for report in each.reports if report.algorithm.name == bundle]
