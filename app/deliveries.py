"""What has not reached its destination: dead letters, what waits and why, and what to do. No patient data, no UIDs."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import structlog

from app import outcomes
from app.documents import Receipt, Waiting
from app.errors import Rejected
from app.outcomes import OUTCOME, Shipment, StudyOutcome
from app.revisions import relations
from app.settings import Settings

log = structlog.get_logger()

OVERDUE_S = 600.0
NOBODY_LOOKS = "no worker looks at it"


class Standing(StrEnum):
    """Where a delivery that has not succeeded stands."""

    DEAD_LETTER = "dead letter"
    NEVER_MADE = "never made"
    AWAITING_COMMITMENT = "awaiting commitment"
    WAITING = "waiting"
    UNDER_WAY = "under way"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One document that has not reached one destination.

    Attributes:
        study: Key of the study revision.
        document: File name of the document.
        destination: Name in the settings; "" for a document that was never made.
        standing: Where it stands.
        attempts: How many times it was sent.
        reason: Why it is not there, in words.
        received_at: Unix time of the last image of the study.
        until: Unix time of the next look at it; None where nobody will look.
        advice: What to do.
    """

    study: str
    document: str
    destination: str
    standing: Standing
    attempts: int
    reason: str
    received_at: float
    until: float | None
    advice: str


def undelivered(settings: Settings) -> tuple[Delivery, ...]:
    """Every document that has not reached a destination it was made for, the newest study first.

    What a newer revision stands for was held back on purpose, and is left out.
    """
    found = [(outcome, rows) for outcome in _outcomes(settings) if (rows := tuple(standings(outcome)))]
    relation = relations(settings.results, [outcome for outcome, _ in found])
    counting = [row for outcome, rows in found if not relation[outcome.key].superseded_by for row in rows]
    return tuple(sorted(counting, key=lambda each: (-each.received_at, each.study, each.document, each.destination)))


def _outcomes(settings: Settings) -> Iterator[StudyOutcome]:
    for file in settings.results.glob(f"*/{OUTCOME}"):
        try:
            outcome = outcomes.read(file.parent)
        except Rejected as error:
            log.error("outcome_damaged", study=file.parent.name[:12], reason=str(error))  # noqa: TRY400
            continue
        if outcome is not None:
            yield outcome


def standings(outcome: StudyOutcome) -> Iterator[Delivery]:
    """Every document of one study revision that has not reached a destination it was made for."""
    for document in outcome.documents:
        if document.problem:
            yield Delivery(
                study=outcome.key,
                document=document.path.name,
                destination="",
                standing=Standing.NEVER_MADE,
                attempts=0,
                reason=document.problem,
                received_at=outcome.received_at,
                until=None,
                advice="the others of its study were made; the log says more",
            )
    for receipt in outcome.receipts:
        if not receipt.delivered and not receipt.superseded_by:
            yield _dead(outcome, receipt)
    for shipment in outcome.pending:
        waiting = outcomes.waiting_of(outcome, shipment)
        yield _under_way(outcome, shipment) if waiting is None else _waits(outcome, waiting)


def _dead(outcome: StudyOutcome, receipt: Receipt) -> Delivery:
    again = f"python -m app replay {outcome.key} --destination {receipt.destination} --config FILE"
    return Delivery(
        study=outcome.key,
        document=receipt.document,
        destination=receipt.destination,
        standing=Standing.DEAD_LETTER,
        attempts=receipt.attempts,
        reason=receipt.detail,
        received_at=outcome.received_at,
        until=None,
        advice=f"mend what the reason says, then: {again}",
    )


def is_overdue(waiting: Waiting) -> bool:
    """Whether a worker would have looked at a delivery long ago, if one ran."""
    return waiting.until + OVERDUE_S < time.time()


def _waits(outcome: StudyOutcome, waiting: Waiting) -> Delivery:
    by_hand = f"{NOBODY_LOOKS}: start one; else python -m app replay {outcome.key} --config FILE"
    return Delivery(
        study=outcome.key,
        document=waiting.document,
        destination=waiting.destination,
        standing=Standing.AWAITING_COMMITMENT if waiting.asked_at else Standing.WAITING,
        attempts=waiting.attempts,
        reason=waiting.detail,
        received_at=outcome.received_at,
        until=waiting.until,
        advice=by_hand if is_overdue(waiting) else "nothing: it is looked at again by itself",
    )


def _under_way(outcome: StudyOutcome, shipment: Shipment) -> Delivery:
    return Delivery(
        study=outcome.key,
        document=shipment.document,
        destination=shipment.destination,
        standing=Standing.UNDER_WAY,
        attempts=0,
        reason="not sent yet, or being sent at this moment",
        received_at=outcome.received_at,
        until=None,
        advice="nothing, while a worker runs",
    )
