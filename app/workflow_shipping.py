"""One step of one document's way to one destination: wait, send, ask for its commitment, look for the answer."""

import time
from collections import deque
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Self

import structlog

from app import outcomes, workflow_metrics
from app.audit.deliveries import tell_sent
from app.breakers import Breakers, file_of
from app.commitments import Ledger
from app.destinations import Destination, DicomDestination, commitment_of
from app.documents import Document, Receipt, Waiting
from app.errors import AppError, Failed, Retryable
from app.outcomes import Shipment, StudyOutcome
from app.settings import Settings
from app.workflow_commitment import look, not_committed, request
from app.workflow_delivery import FIRST, HELD_BACK, again, attempt_in_order, right_of_way
from app.workflow_edges import edge

log = structlog.get_logger()

REMEMBERED_NOTICES = 1000


@dataclass(frozen=True)
class Shipping:
    """The deliveries of one worker.

    Attributes:
        settings: Of the installation.
        breakers: Who is left alone.
        ledger: Commitments asked for.
    """

    settings: Settings
    breakers: Breakers
    ledger: Ledger
    _noticed: deque[tuple[str, tuple[str, str, int]]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED_NOTICES), init=False
    )
    _lock: Lock = field(default_factory=Lock, init=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """For a worker with these settings."""
        breakers = Breakers(file_of(settings.run, settings.worker.id), _show_left_alone)
        return cls(settings, breakers, Ledger(settings.results))

    def advance(self, known: StudyOutcome, shipment: Shipment) -> Receipt | Waiting:
        """Do what is next for a document that is not delivered yet.

        Returns:
            The receipt, once it is clear how it ends; else why it waits and until when.

        Raises:
            Retryable: The folder of results cannot be written.
        """
        before = outcomes.waiting_of(known, shipment)
        destination = next((each for each in self.settings.destinations if each.name == shipment.destination), None)
        if destination is None:
            detail = f"the settings know no destination '{shipment.destination}' any more; `replay` sends it elsewhere"
            found: Receipt | Waiting = Receipt(
                shipment.destination, shipment.document, False, before.attempts if before else 0, detail
            )
        else:
            found = self._try(known, shipment, destination, before)
        _count(found, before)
        tell_sent(self.settings.audit, known, found)
        self._notice(known, found)
        return found

    def _notice(self, known: StudyOutcome, found: Receipt | Waiting) -> None:
        """Measure how long an urgent report took from the last image to its first delivered document."""
        if not isinstance(found, Receipt) or not found.delivered:
            return
        if right_of_way(known, Shipment(found.document, found.destination)) != FIRST:
            return
        document = next(each for each in known.documents if each.path.name == found.document)
        report = (document.bundle, document.series_uid, document.stack)
        names = {each.path.name for each in known.documents if (each.bundle, each.series_uid, each.stack) == report}
        if any(receipt.delivered and receipt.document in names for receipt in known.receipts):
            return
        with self._lock:
            # Deliveries of one report run side by side, and none knows yet of the other's receipt.
            if (known.key, report) in self._noticed:
                return
            self._noticed.append((known.key, report))
        workflow_metrics.URGENT_NOTICE_SECONDS.observe(time.time() - known.received_at)

    def _try(
        self, known: StudyOutcome, shipment: Shipment, destination: Destination, before: Waiting | None
    ) -> Receipt | Waiting:
        """What breaks on our side is a dead letter with a reason, like any other."""
        try:
            with edge("delivering"):
                return self._advance(known, _document(known, shipment), destination, before)
        except Retryable:
            raise
        except AppError as error:
            attempts = before.attempts if before else 0
            return Receipt(destination.name, shipment.document, False, attempts, str(error))

    def _advance(
        self, known: StudyOutcome, document: Document, destination: Destination, before: Waiting | None
    ) -> Receipt | Waiting:
        transactions = before.transactions if before else ()
        if before is not None and transactions and isinstance(destination, DicomDestination):
            found = self._look(before, document, destination)
            if found is not None:
                return found
        attempt = (before.attempts if before else 0) + 1
        found = attempt_in_order(self.settings.results, known, document, destination, attempt, self.breakers)
        if isinstance(found, Waiting):
            return replace(found, transactions=transactions)
        if found.delivered and isinstance(destination, DicomDestination) and commitment_of(destination):
            return self._commit(found, document, destination, transactions)
        return found

    def _look(self, waiting: Waiting, document: Document, destination: DicomDestination) -> Receipt | Waiting | None:
        """See whether a commitment has come; None where the document is to be sent once more."""
        try:
            found = look(waiting, document, destination, self.ledger)
        except Retryable as error:
            return self._not_yet(waiting, destination, error) if waiting.asked_at else None
        # What is not awaited any more may come late all the same; but it is not waited for.
        return found if isinstance(found, Receipt) or waiting.asked_at else None

    def _commit(
        self, stored: Receipt, document: Document, destination: DicomDestination, before: tuple[str, ...]
    ) -> Receipt | Waiting:
        try:
            waiting = request(stored, document, destination, self.ledger, before)
        except Retryable as error:
            waiting = Waiting(destination.name, stored.document, stored.attempts, "", 0, before)
            return self._not_yet(waiting, destination, Retryable(f"stored, but {error}", error.after_s))
        except AppError as error:
            return not_committed(stored, error)
        try:
            return look(waiting, document, destination, self.ledger)
        except Retryable as error:
            return self._not_yet(waiting, destination, error)

    def _not_yet(self, waiting: Waiting, destination: Destination, error: Retryable) -> Receipt | Waiting:
        """To be sent once more after a pause, or given up."""
        log.warning("not_committed", destination=destination.name, reason=str(error))
        found = again(waiting.document, destination, waiting.attempts, error)
        if isinstance(found, Receipt):
            return replace(found, committed=False)
        return replace(found, transactions=waiting.transactions)


def _document(known: StudyOutcome, shipment: Shipment) -> Document:
    for document in known.documents:
        if document.path.name == shipment.document:
            return document
    raise Failed(f"study {known.key} has no document {shipment.document}")


def _count(found: Receipt | Waiting, before: Waiting | None) -> None:
    if isinstance(found, Receipt):
        outcome = "superseded" if found.superseded_by else "delivered" if found.delivered else "undelivered"
    elif found.asked_at:
        if before is not None and before.asked_at:
            return  # looked, and nothing has come yet
        outcome = "stored"
    else:
        outcome = "held_back" if found.detail == HELD_BACK else "retried"
    workflow_metrics.DELIVERIES.labels(found.destination, outcome).inc()


def _show_left_alone(destination: str, left_alone: bool) -> None:
    workflow_metrics.LEFT_ALONE.labels(destination).set(int(left_alone))
