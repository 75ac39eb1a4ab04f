"""The way of a study through its stages: what is done and how long it took, what goes on, what is to come."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.arrivals import is_arrival
from app.outcomes import FINAL, State, StudyOutcome, Timing

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
class Stage:
    """One stage of a study.

    Attributes:
        name: For people.
        standing: Where it stands.
        timings: Of what was done in it, in its order.
    """

    name: str
    standing: Standing
    timings: tuple[Timing, ...]

    @property
    def seconds(self) -> float:
        """Of everything together; things that ran side by side count twice."""
        return sum(each.seconds for each in self.timings)


def stages_of(outcome: StudyOutcome) -> tuple[Stage, ...]:
    """Every stage of a revision, in their order."""
    reached = _reached(outcome)
    found = []
    for place, name in enumerate(STAGES):
        timings = tuple(each for each in outcome.timings if each.stage == name)
        found.append(Stage(WORDS[name], _standing(outcome, name, place, reached, timings), timings))
    return tuple(found)


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
