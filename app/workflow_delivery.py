"""Delivery with its bookkeeping: one attempt of the workflow, and the replay of a finished study by hand."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from app import outcomes, revisions, workflow_metrics
from app.breakers import Breakers
from app.commitments import Ledger
from app.deliver import deliver, deliver_all
from app.deliveries import NOBODY_LOOKS, is_overdue
from app.destinations import Destination, DicomDestination, commitment_of
from app.documents import Document, Receipt, Waiting
from app.errors import AppError, Rejected, Retryable
from app.outcomes import Shipment, StudyOutcome
from app.settings import Settings
from app.workflow_commitment import commit_by_hand
from app.workflow_edges import edge
from app.workflow_order import sending
from bundles.common.strict import nearest

log = structlog.get_logger()

LONGEST_BACKOFF_S = 300.0
HELD_BACK = "held back: the destination failed several times in a row and is left alone for a while"
GOES_ON = "its delivery goes on by itself"
WITH_A_WORKER = f"{GOES_ON} while a worker runs"
GOES_ON_WITH_ONE = f"its delivery goes on once a worker runs; {NOBODY_LOOKS}"
FIRST, LATER = 1, 2
"""Priorities in the queue of deliveries that have to be tried again."""


def right_of_way(known: StudyOutcome, shipment: Shipment) -> int:
    """Whether a delivery that has to wait goes before others: that of a report flagged for early reading does."""
    document = next((each for each in known.documents if each.path.name == shipment.document), None)
    if document is None:
        return LATER
    of_document = (document.bundle, document.series_uid, document.stack)
    urgent = any(
        report.urgent and (report.algorithm.name, report.series_uid, report.stack) == of_document
        for report in known.reports
    )
    return FIRST if urgent else LATER


def attempt_in_order(  # noqa: PLR0917  a study, what of it, to whom and how: always given in this order
    results: Path,
    known: StudyOutcome,
    document: Document,
    destination: Destination,
    attempt: int,
    breakers: Breakers,
) -> Receipt | Waiting:
    """Send a document once, unless a newer revision of its study has overtaken it; see `attempt_delivery`.

    Raises:
        Retryable: The folder of results cannot be written.
    """
    shipment = Shipment(document.path.name, destination.name)
    with sending(results, known, destination.name) as family:
        newer = revisions.overtaken_by(shipment, known, family)
        if not newer:
            urgent = right_of_way(known, shipment) == FIRST
            return attempt_delivery(document, destination, attempt, breakers, urgent=urgent)
    log.info("document_superseded", study=known.key[:12], destination=destination.name, newer=newer)
    detail = f"not sent: revision {newer}, with later images, is sent in its place"
    return Receipt(destination.name, shipment.document, False, attempt - 1, detail, superseded_by=newer)


def attempt_delivery(
    document: Document, destination: Destination, attempt: int, breakers: Breakers, *, urgent: bool = False
) -> Receipt | Waiting:
    """Send a document once, unless its destination is left alone for now.

    Returns:
        The receipt, where the destination took it, refused it, or was tried often enough; else why it waits.
    """
    name = document.path.name
    early = breakers.pauses(destination)
    try:
        with breakers.passage(destination, urgent=urgent) as wait_s:
            if wait_s:
                until = time.time() + wait_s
                return Waiting(destination.name, name, attempt - 1, HELD_BACK, until)
            with edge("delivering"):
                return replace(deliver(document, destination), attempts=attempt)
    except Retryable as error:
        # An urgent document that went before the pause was over: attempts are for others' turns too.
        found = again(name, destination, attempt - 1 if early else attempt, error)
        return found if isinstance(found, Receipt) or not early else replace(found, attempts=attempt - 1)
    except AppError as error:
        return Receipt(destination.name, name, delivered=False, attempts=attempt, detail=str(error))


def again(name: str, destination: Destination, attempt: int, error: Retryable) -> Receipt | Waiting:
    """What follows an attempt in vain: the next one after a pause, or the end of the attempts.

    The pause doubles with each attempt (from the settings of the destination), and is no shorter than what the
    destination asked for.
    """
    if attempt >= destination.attempts:
        return Receipt(destination.name, name, delivered=False, attempts=attempt, detail=f"given up: {error}")
    pause_s = max(min(destination.backoff_s * 2.0 ** min(max(attempt - 1, 0), 30), LONGEST_BACKOFF_S), error.after_s)
    log.warning("delivery_retried", destination=destination.name, reason=str(error), pause_s=pause_s)
    return Waiting(destination.name, name, attempt, str(error), time.time() + pause_s)


def replay(
    settings: Settings, key_or_uid: str, destination: str | None = None, *, even_superseded: bool = False
) -> tuple[Receipt, ...]:
    """Deliver every document of a study once more, each tried once, and write the receipts down.

    Needs no running worker: what is sent lies on disk. A document that a destination took before has the same UID and
    is a duplicate there. Where a worker is still trying, what is taken now ends its attempts, and what is not leaves
    them as they are.

    Args:
        settings: Of the installation.
        key_or_uid: As `app.outcomes.study` takes it.
        destination: Name of one in the settings; None takes all.
        even_superseded: Send a revision also where a newer one stands for it, and so after the newer one.

    Raises:
        Rejected: There is no such study, no document of it, or no such destination; or a newer revision stands for it.
    """
    known = outcomes.study(settings, key_or_uid)
    if known is None:
        raise Rejected("no study of that key or StudyInstanceUID; `studies` in the web side lists them")
    receipts: list[Receipt] = []
    for peer in destinations_of(settings, destination):
        with sending(settings.results, known, peer.name):
            newer = revisions.relation(settings.results, known).superseded_by
            if newer and not even_superseded:
                raise Rejected(f"study {known.key} is superseded by {newer}: replay that one, or this one with --force")
            receipts += _replay_to(settings, known, peer)
    if not receipts:
        raise Rejected(f"study {known.key} ({known.state}) has no document that these destinations want")
    return tuple(receipts)


def _replay_to(settings: Settings, known: StudyOutcome, peer: Destination) -> Sequence[Receipt]:
    documents = [each for each in known.documents if peer.wants(each)]
    receipts = []
    for receipt in _deliver_all(documents, peer, Ledger(settings.results)):
        before = outcomes.receipt_of(known, Shipment(receipt.document, peer.name))
        receipts.append(replace(receipt, attempts=receipt.attempts + (before.attempts if before else 0)))
        outcome = "delivered" if receipt.delivered else "undelivered"
        workflow_metrics.DELIVERIES.labels(peer.name, outcome).inc()
        log.info("document_replayed", study=known.key[:12], destination=peer.name, outcome=outcome)
    after = outcomes.record(settings.results / known.key, lambda found: _with_receipts(found, receipts))
    open_ones = {(each.document, each.destination): _goes_on(after, each) for each in after.pending}
    further = [(each, open_ones.get((each.document, each.destination))) for each in receipts]
    return [replace(each, detail=f"{each.detail}; {words}") if words else each for each, words in further]


def _goes_on(known: StudyOutcome, shipment: Shipment) -> str:
    """What becomes of a delivery that was tried by hand in vain and has not ended."""
    waiting = outcomes.waiting_of(known, shipment)
    if waiting is None:
        return WITH_A_WORKER
    return GOES_ON_WITH_ONE if is_overdue(waiting) else GOES_ON


def _deliver_all(documents: Sequence[Document], peer: Destination, ledger: Ledger) -> Iterator[Receipt]:
    of_name = {document.path.name: document for document in documents}
    for receipt in deliver_all(documents, peer) if documents else ():
        if receipt.delivered and isinstance(peer, DicomDestination) and commitment_of(peer):
            yield commit_by_hand(receipt, of_name[receipt.document], peer, ledger)
        else:
            yield receipt


def _with_receipts(found: StudyOutcome, receipts: Sequence[Receipt]) -> StudyOutcome:
    for receipt in receipts:
        shipment = Shipment(receipt.document, receipt.destination)
        if not receipt.delivered and shipment in found.pending:
            continue  # a worker is at it, with attempts left: one by hand in vain is not their end
        found = outcomes.with_receipt(found, receipt)
        if shipment not in found.shipments:
            found = replace(found, shipments=(*found.shipments, shipment))
    return found


def destinations_of(settings: Settings, name: str | None) -> tuple[Destination, ...]:
    """The destination of that name; None: all.

    Raises:
        Rejected: There is none.
    """
    chosen = tuple(each for each in settings.destinations if name in {None, each.name})
    if not chosen:
        if not settings.destinations:
            raise Rejected("there is no destination in the settings; enter one under destinations")
        known = [each.name for each in settings.destinations]
        raise Rejected(f"no destination '{name}' in the settings{nearest(name or '', known)}")
    return chosen
