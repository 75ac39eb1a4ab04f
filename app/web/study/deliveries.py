"""Every document and every way it has to go: arrived, waiting, refused, and whether its storage was committed."""

import time
from dataclasses import dataclass

from app.deliveries import Delivery, Standing, standings
from app.documents import Receipt, Waiting
from app.outcomes import StudyOutcome

TONES = {
    Standing.DEAD_LETTER: "bad",
    Standing.NEVER_MADE: "bad",
    Standing.AWAITING_COMMITMENT: "wait",
    Standing.WAITING: "wait",
    Standing.UNDER_WAY: "wait",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One document on its way to one destination.

    Attributes:
        document, destination: By file name and name in the settings.
        words, tone: Where it stands.
        attempts: How often it was sent.
        commitment: Of storage, in words.
        detail: What the destination said, or why it waits.
        next_at: Unix time of the next look at it; None where nobody will look.
        advice: What to do; "" for nothing.
    """

    document: str
    destination: str
    words: str
    tone: str
    attempts: int
    commitment: str
    detail: str
    next_at: float | None = None
    advice: str = ""


def rows_of(outcome: StudyOutcome) -> tuple[Row, ...]:
    """Every shipment of a revision, in the order in which they were written down."""
    open_ones = {(each.document, each.destination): each for each in standings(outcome)}
    receipts = {(each.document, each.destination): each for each in outcome.receipts}
    waits = {(each.document, each.destination): each for each in outcome.waiting}
    found = []
    for shipment in outcome.shipments:
        way = shipment.document, shipment.destination
        receipt, waiting, stands = receipts.get(way), waits.get(way), open_ones.get(way)
        if stands is not None:
            found.append(_open(stands, receipt, waiting))
        elif receipt is not None:
            found.append(_ended(receipt))
    return tuple(found)


def _ended(receipt: Receipt) -> Row:
    words, tone = ("superseded", "calm") if receipt.superseded_by else ("delivered", "good")
    return Row(
        receipt.document,
        receipt.destination,
        words,
        tone,
        receipt.attempts,
        "" if receipt.superseded_by else _committed(receipt),
        receipt.detail,
    )


def _open(stands: Delivery, receipt: Receipt | None, waiting: Waiting | None) -> Row:
    until = stands.until if stands.until is not None and stands.until > time.time() else None
    if waiting is not None and waiting.transactions:
        commitment = "asked for" if waiting.asked_at else "no answer yet"
    else:
        commitment = "" if receipt is None else _committed(receipt)
    return Row(
        stands.document,
        stands.destination,
        stands.standing.value,
        TONES[stands.standing],
        stands.attempts,
        commitment,
        stands.reason,
        until,
        stands.advice,
    )


def _committed(receipt: Receipt) -> str:
    if receipt.committed is None:
        return "not asked for"
    return "committed" if receipt.committed else "refused"
