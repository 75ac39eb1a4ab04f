"""One way out for each kind of destination. Whoever delivers need not know which."""

from collections.abc import Sequence
from typing import assert_never

from app.deliver import dicomweb, dimse, fhir, mllp, webhook
from app.deliver.echo import echo as echo_dicom
from app.destinations import (
    Destination,
    DicomDestination,
    DicomWebDestination,
    FhirDestination,
    Hl7Destination,
    WebhookDestination,
)
from app.documents import Document, Receipt
from app.errors import AppError


def deliver(document: Document, destination: Destination) -> Receipt:
    """Hand one document over: one attempt, one connection.

    Returns:
        A receipt with `delivered` true; its detail holds the answer in words, warnings included.

    Raises:
        Retryable: The same attempt may succeed later: nobody answers, or the peer cannot take it now.
        Rejected: It will not: the peer does not know us, does not want this document, or cannot understand it; or the
            document has no file.
    """
    match destination:
        case DicomDestination():
            return dimse.deliver(document, destination)
        case DicomWebDestination():
            return dicomweb.deliver(document, destination)
        case FhirDestination():
            return fhir.deliver(document, destination)
        case Hl7Destination():
            return mllp.deliver(document, destination)
        case WebhookDestination():
            return webhook.deliver(document, destination)
        case _:
            assert_never(destination)


def deliver_all(documents: Sequence[Document], destination: Destination) -> tuple[Receipt, ...]:
    """Hand several documents over, each tried once; over one connection where that is DICOM's.

    Returns:
        One receipt for each document, in their order; a failure is a receipt with `delivered` false and the reason.
    """
    if isinstance(destination, DicomDestination):
        return dimse.deliver_all(documents, destination)
    return tuple(_attempt(document, destination) for document in documents)


def reachable(destination: Destination) -> str | None:
    """Ask a destination without giving it anything; see `echo`.

    Returns:
        None where it answers as it should; else why not, and what to do.
    """
    try:
        echo(destination)
    except AppError as error:
        return str(error)
    return None


def echo(destination: Destination) -> str:
    """Ask a destination without giving it anything: C-ECHO, or what comes nearest to it.

    Returns:
        What was tried and answered, in words: "PACS at 10.0.0.5:104 answers C-ECHO".

    Raises:
        Retryable: It does not answer now, and may do so later.
        Rejected: It does not know us; the message says what to do.
    """
    match destination:
        case DicomDestination():
            return echo_dicom(destination)
        case DicomWebDestination():
            return dicomweb.echo(destination)
        case FhirDestination():
            return fhir.echo(destination)
        case Hl7Destination():
            return mllp.echo(destination)
        case WebhookDestination():
            return webhook.echo(destination)
        case _:
            assert_never(destination)


def _attempt(document: Document, destination: Destination) -> Receipt:
    try:
        return deliver(document, destination)
    except AppError as error:
        return Receipt(destination.name, document.path.name, delivered=False, attempts=1, detail=str(error))
