"""The way of a study through its stages: what is done and how long it took, what goes on, what is to come."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from app.arrivals import is_arrival
from app.outcomes import FINAL, State, StudyOutcome, Timing, waiting_of

STAGES = ("assemble", "look", "route", "infer", "report", "deliver")
WORDS = {
    "assemble": "Assemble the images",
    "look": "Look at the pictures",
    "route": "Choose the bundles",
    "infer": "Analyse",
    "report": "Write the documents",
    "deliver": "Deliver",
}


class Standing(StrEnum):
    """Where a stage stands."""

    DONE = "done"
    NOW = "in progress"
    TO_COME = "to come"
    NOT_NEEDED = "not needed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """All deliveries of a revision together, with the pauses between their attempts.

    Attributes:
        open: How many have not ended.
        all: How many there are.
        since: Unix time at which the first document was there to be sent; None where no document tells.
        elapsed_s: Since then, until the last receipt where there is one; 0 where it cannot be told.
        attempts: The most of one that has not ended.
        next_at: Unix time of the next look at one; None where nobody waits for it.
    """

    open: int
    all: int
    since: float | None
    elapsed_s: float
    attempts: int
    next_at: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a study.

    Attributes:
        name: For people.
        standing: Where it stands.
        timings: Of what was done in it, in its order; of a delivery that was tried several times the last attempt.
        delivery: How the deliveries go as a whole; None for other stages, and where nothing is delivered.
    """

    name: str
    standing: Standing
    timings: tuple[Timing, ...]
    delivery: Delivery | None = None

    @property
    def seconds(self) -> float:
        """Of everything together; things that ran side by side count twice."""
        return sum(each.seconds for each in self.timings)


def stages_of(outcome: StudyOutcome, now: float | None = None) -> tuple[Stage, ...]:
    """Every stage of a revision, in their order, at a Unix time."""
    reached = _reached(outcome)
    found = []
    for place, name in enumerate(STAGES):
        timings = tuple(each for each in outcome.timings if each.stage == name)
        delivery = _delivery(outcome, time.time() if now is None else now) if name == "deliver" else None
        found.append(Stage(WORDS[name], _standing(outcome, name, place, reached, timings), timings, delivery))
    return tuple(found)


def _delivery(outcome: StudyOutcome, now: float) -> Delivery | None:
    if not outcome.shipments:
        return None
    pending = outcome.pending
    waiting = [found for each in pending if (found := waiting_of(outcome, each)) is not None]
    since = _first_made(outcome)
    until = now if outcome.finished_at is None else outcome.finished_at
    return Delivery(
        open=len(pending),
        all=len(outcome.shipments),
        since=since,
        elapsed_s=0.0 if since is None else max(until - since, 0.0),
        attempts=max((each.attempts for each in waiting), default=0),
        next_at=min((each.until for each in waiting if each.until > now), default=None),
    )


def _first_made(outcome: StudyOutcome) -> float | None:
    """A document is sent as soon as it is on disk: its file tells when."""
    sent = {each.document for each in outcome.shipments}
    times = []
    for document in outcome.documents:
        if document.path.name in sent:
            with suppress(OSError):
                times.append(document.path.stat().st_mtime)
    return min(times, default=None)


def _reached(outcome: StudyOutcome) -> int:
    """Place of the stage that goes on, or that was the last; -1 where none has begun."""
    if is_arrival(outcome.key):
        return -1
    if outcome.decision is None:
        return STAGES.index("route") if outcome.study_uid else 0
    if not outcome.decision.assignments:
        return STAGES.index("route")
    if len(outcome.reports) < len(outcome.decision.assignments):
        return STAGES.index("infer")
    return STAGES.index("deliver" if outcome.shipments else "report")


def _standing(outcome: StudyOutcome, name: str, place: int, reached: int, timings: Sequence[Timing]) -> Standing:
    if outcome.state in FINAL:
        if outcome.state is State.FAILED and place == reached:
            return Standing.FAILED
        if name == "deliver" and outcome.state is State.UNDELIVERED and outcome.shipments:
            return Standing.FAILED
        return Standing.DONE if timings or (name == "deliver" and outcome.receipts) else Standing.NOT_NEEDED
    if place < reached:
        return Standing.DONE if timings else Standing.NOT_NEEDED
    return Standing.NOW if place == reached else Standing.TO_COME
