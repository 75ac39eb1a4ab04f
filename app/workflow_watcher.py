"""From the spool into the workflow database: notices complete studies, and begins each revision once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from app import outcomes, reruns, workflow_metrics
from app.assemble import Copies, assemble, choose_copies, is_complete
from app.errors import AppError
from app.outcomes import StudyOutcome
from app.receive.pruning import removed_in_words
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
        longest_s = max((now - each.last_received for each in arrivals), default=0.0)
        workflow_metrics.ARRIVING_QUIET_SECONDS.set(max(longest_s, 0.0))
        for arrival in arrivals:
            if not self._room():
                return
            if self._complete(arrival, now):
                self._claim(arrival.key, now)
        arriving = {arrival.key for arrival in arrivals}
        while self._left and self._room():
            key = self._left.pop()
            if key not in arriving:
                self._take_up(key)
        if self._room():
            reruns.take(self.steps.settings.results, self.begin)

    def _room(self) -> bool:
        return self.steps.running("process_study") < BEGUN_AT_ONCE

    def _complete(self, arrival: Arrival, now: float) -> bool:
        assembly = self.steps.settings.assembly

        def quiet(idle_s: float) -> bool:
            return is_complete(arrival, idle_s, assembly.interrupted_s, assembly.cap_s, now)

        times = [assembly.idle_s if rule.idle_s is None else rule.idle_s for rule in self.steps.router.rules]
        if not quiet(min([assembly.idle_s, *times])):
            return False
        if quiet(max([assembly.idle_s, *times])):
            return True
        study = self._so_far(arrival)
        return study is not None and quiet(self.steps.router.idle_s(study, assembly.idle_s))

    def _so_far(self, arrival: Arrival) -> Study | None:
        """The study as far as it has come, read once for each set of files; None where it cannot be read yet."""
        copies = self._copies(arrival.key)
        known = self._partial.get(arrival.key)
        if known is None or known.revision != revision_of(copies.files):
            try:
                self._partial[arrival.key] = assemble(copies.files)
            except AppError:
                return None
        return self._partial[arrival.key]

    def _claim(self, key: str, now: float) -> None:
        """Begin a study, unless another worker is at it; what came since it was looked at counts too."""
        with self.steps.spool.claim(key) as arrival:
            if arrival is not None and self._complete(arrival, now):
                self._begin(arrival)

    def _begin(self, arrival: Arrival) -> None:
        study = self._partial.pop(arrival.key, None)
        copies = self._copies(arrival.key)
        if copies.files:
            self._begin_revision(arrival, copies, study)
        if not self.steps.spool.settle(arrival):
            log.debug("study_goes_on", study=arrival.key[:12])

    def _take_up(self, key: str) -> None:
        """Begin a study that lay in the spool at start without a marker, unless its revision was begun before."""
        copies = self._copies(key)
        if copies.files:
            received = max(file.stat().st_mtime for file in copies.files)
            interrupted = self.steps.spool.interrupted(key)
            self._begin_revision(Arrival(key, received, received, 0, interrupted), copies)

    def _copies(self, key: str) -> Copies:
        return choose_copies(self.steps.spool.versions(key))

    def _begin_revision(self, arrival: Arrival, copies: Copies, study: Study | None = None) -> None:
        """Begin what came, unless it was begun before; `study` is what was assembled of it meanwhile, if anything.

        What was analysed as finished does not become unfinished when a sender repeats it and breaks off, or is still
        sending at the cap.
        """
        whole = f"{arrival.key}-{revision_of(copies.files)}"
        # At the cap an association may still be open: what it has not sent yet is missing as well.
        unfinished = arrival.interrupted or arrival.open_associations > 0
        interrupted = unfinished and not self.begun(whole)
        key = f"{arrival.key}-{revision_of(copies.files, interrupted=True)}" if interrupted else whole
        if self.begun(key):
            log.debug("study_known", study=key[:12], revision=key.rpartition("-")[2])
            return
        removed = self.steps.spool.removed(arrival.key, copies.files)
        signs = (*copies.signs, *([removed_in_words(removed, len(copies.files))] if removed else []))
        begun = StudyOutcome(
            key,
            received_at=arrival.last_received,
            files=tuple(file.name for file in copies.files),
            interrupted=interrupted,
            arrival_notes=copies.notes,
            arrival_signs=signs,
        )
        outcomes.begin(self.steps.settings.results, begun)
        if study is not None and study.key == key and study.notes == copies.notes and not signs:
            self.steps.remember(study)
        self.begin(key)
        log.info(
            "study_begun",
            study=key[:12],
            revision=key.rpartition("-")[2],
            instances=len(copies.files),
            interrupted=interrupted,
        )
