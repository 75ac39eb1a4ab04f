"""SENT means stored: a document whose destination commits to storage counts as delivered once it has done so."""

import time
from dataclasses import replace
from typing import Final

import structlog

from app.commitments import Answer, Ledger
from app.deliver.commitment import ask, verdict
from app.destinations import Commitment, DicomDestination, commitment_of
from app.documents import Document, Receipt, Waiting
from app.errors import AppError, Retryable
from app.workflow_edges import edge

log = structlog.get_logger()

AWAITED: Final = "; stored, its storage commitment is awaited"
SHORTEST_GLANCE_S, LONGEST_GLANCE_S = 0.5, 60.0
BY_HAND_S: Final = 60.0
"""How long a replay by hand waits for the answer, at most."""


def request(
    stored: Receipt, document: Document, destination: DicomDestination, ledger: Ledger, before: tuple[str, ...] = ()
) -> Waiting:
    """Ask for the commitment of what was just stored.

    Args:
        stored: The receipt of its C-STORE.
        document: What was stored.
        destination: Where.
        ledger: Where the answer comes.
        before: Transactions of earlier attempts; an answer to one of them still counts.

    Returns:
        What is awaited; the answer may lie in the ledger already.

    Raises:
        AppError: The question could not be asked.
    """
    options = commitment_of(destination) or Commitment()
    asked_at = time.time()
    with edge("asking for storage commitment"):
        transaction, _ = ask(document, destination, ledger, options.wait_s)
    return Waiting(
        destination=destination.name,
        document=stored.document,
        attempts=stored.attempts,
        detail=f"{stored.detail}{AWAITED}",
        until=time.time() + SHORTEST_GLANCE_S,
        transactions=(*before, transaction),
        asked_at=asked_at,
    )


def look(waiting: Waiting, document: Document, destination: DicomDestination, ledger: Ledger) -> Receipt | Waiting:
    """See whether the awaited commitment has come.

    Returns:
        The receipt where it has; the same with a later `until` where it may still come.

    Raises:
        Retryable: The destination does not commit, or did not say so in time; `reason` in words.
    """
    answers = [ledger.look(transaction) for transaction in waiting.transactions]
    if any(answer is not None and not verdict(answer, document.sop_instance_uid) for answer in answers):
        detail = f"{waiting.detail.removesuffix(AWAITED)}; committed" if waiting.asked_at else "stored; committed late"
        return Receipt(destination.name, waiting.document, True, waiting.attempts, detail, committed=True)
    _doubt(answers[-1], waiting, document, destination)
    waited_s = time.time() - waiting.asked_at
    pause_s = min(max(waited_s / 2, SHORTEST_GLANCE_S), LONGEST_GLANCE_S)
    return replace(waiting, until=time.time() + pause_s)


def _doubt(answer: Answer | None, waiting: Waiting, document: Document, destination: DicomDestination) -> None:
    within_s = (commitment_of(destination) or Commitment()).within_s
    if answer is not None:
        why = verdict(answer, document.sop_instance_uid)
        raise Retryable(f"{destination.name}: stored, but not committed: {why}")
    if time.time() >= waiting.asked_at + within_s:
        raise Retryable(
            f"{destination.name}: stored, but not committed within {within_s:g} s; does the peer know our AE title "
            f"{destination.calling_ae_title} and the port of our listener?"
        )


def commit_by_hand(stored: Receipt, document: Document, destination: DicomDestination, ledger: Ledger) -> Receipt:
    """Ask, and wait for the answer here: a replay has no workflow that would look later."""
    options = commitment_of(destination) or Commitment()
    deadline = time.monotonic() + min(options.within_s, BY_HAND_S)
    try:
        waiting = request(stored, document, destination, ledger)
        while True:
            found = look(waiting, document, destination, ledger)
            if isinstance(found, Receipt):
                return found
            if time.monotonic() >= deadline:
                raise Retryable(f"stored, but not committed within {min(options.within_s, BY_HAND_S):g} s")
            time.sleep(SHORTEST_GLANCE_S)
    except AppError as error:
        return not_committed(stored, error)


def not_committed(stored: Receipt, error: AppError) -> Receipt:
    """The end of a document that was stored and not committed: it does not count as delivered."""
    detail = str(error) if "stored, but" in str(error) else f"stored, but {error}"
    return replace(stored, delivered=False, committed=False, detail=detail)
