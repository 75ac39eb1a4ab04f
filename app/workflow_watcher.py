"""From the spool into the workflow database: notices complete studies, and begins each revision once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from app import outcomes, workflow_metrics
from app.assemble import assemble, is_complete
from app.errors import AppError
from app.outcomes import StudyOutcome
from app.study import Arrival, Study, revision_of
from app.workflow_steps import Steps

log = structlog.get_logger()

BEGUN_AT_ONCE = 4
"""Studies between their begin and their place in the inference queue. The spool holds the others, durably."""


@dataclass
class Watcher:
    """Looks at the spool, again and again.

    Attributes:
        steps: What the workflows of this process work on.
        begin: Starts the workflow of a study key, durably.
        begun: Whether a study key has a workflow.
    """

    steps: Steps
    begin: Callable[[str], None]
    begun: Callable[[str], bool]
    _partial: dict[str, Study] = field(default_factory=dict, init=False)
    _left: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._left = list(self.steps.spool.study_keys())

    def look(self, now: float | None = None) -> None:
        """One round: begin every complete study, then one of those that lay in the spool at start."""
        now = time.time() if now is None else now
        arrivals = self.steps.spool.arrivals()
        workflow_metrics.ARRIVING.set(len(arrivals))
        for arrival in arrivals:
            if not self._room():
                return
            if self._complete(arrival, now):
                self._begin(arrival)
        arriving = {arrival.key for arrival in arrivals}
        while self._left and self._room():
            key = self._left.pop()
            if key not in arriving:
                self._take_up(key)

    def _room(self) -> bool:
        return self.steps.running("process_study") < BEGUN_AT_ONCE

    def _complete(self, arrival: Arrival, now: float) -> bool:
        assembly = self.steps.settings.assembly
        times = [assembly.idle_s if rule.idle_s is None else rule.idle_s for rule in self.steps.router.rules]
        shortest, longest = min([assembly.idle_s, *times]), max([assembly.idle_s, *times])
        if not is_complete(arrival, shortest, assembly.cap_s, now):
            return False
        if is_complete(arrival, longest, assembly.cap_s, now):
            return True
        study = self._so_far(arrival)
        if study is None:
            return False
        return is_complete(arrival, self.steps.router.idle_s(study, assembly.idle_s), assembly.cap_s, now)

    def _so_far(self, arrival: Arrival) -> Study | None:
        """The study as far as it has come, read once for each set of files; None where it cannot be read yet."""
        files = self.steps.spool.files(arrival.key)
        known = self._partial.get(arrival.key)
        if known is None or known.revision != revision_of(files):
            try:
                self._partial[arrival.key] = assemble(files)
            except AppError:
                return None
            self.steps.remember(self._partial[arrival.key])
        return self._partial[arrival.key]

    def _begin(self, arrival: Arrival) -> None:
        self._partial.pop(arrival.key, None)
        self._begin_revision(arrival.key, arrival.last_received)
        if not self.steps.spool.settle(arrival):
            log.debug("study_goes_on", study=arrival.key[:12])

    def _take_up(self, key: str) -> None:
        """Begin a study that lay in the spool at start without a marker, unless its revision was begun before."""
        files = self.steps.spool.files(key)
        if files and not self.begun(f"{key}-{revision_of(files)}"):
            log.info("study_taken_up", study=key[:12])
            self._begin_revision(key, max(file.stat().st_mtime for file in files))

    def _begin_revision(self, spool_key: str, received_at: float) -> None:
        files = self.steps.spool.files(spool_key)
        if not files:
            return
        key = f"{spool_key}-{revision_of(files)}"
        outcomes.begin(
            self.steps.settings.results,
            StudyOutcome(key, received_at=received_at, files=tuple(file.name for file in files)),
        )
        self.begin(key)
        log.info("study_begun", study=key[:12], revision=key.rpartition("-")[2], instances=len(files))
