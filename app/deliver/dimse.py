"""Documents to a DICOM peer by C-STORE; every status is checked."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom import build_context
from pynetdicom.association import Association

from app.deliver.association import Peer, accepts, associate, close, readable
from app.deliver.statuses import Verdict, in_words, meaning
from app.destinations import DicomDestination
from app.documents import DICOM_KINDS, Document, Receipt
from app.errors import AppError, Rejected, Retryable

log = structlog.get_logger()


def deliver(document: Document, destination: DicomDestination) -> Receipt:
    """Store one document at one destination: one attempt, one association; see `app.deliver.ways.deliver`."""
    with Sender((document,), destination) as sender:
        return sender.send(document)


def deliver_all(documents: Sequence[Document], destination: DicomDestination) -> tuple[Receipt, ...]:
    """Store several documents over one association, each tried once.

    Returns:
        One receipt for each document, in their order; a failure is a receipt with `delivered` false and the reason.
    """
    receipts: dict[int, Receipt] = {}
    sendable: dict[int, Document] = {}
    for position, document in enumerate(documents):
        try:
            _syntaxes(document)
        except Rejected as error:
            receipts[position] = _failed(document, destination, error)
        else:
            sendable[position] = document
    receipts |= _send(sendable, destination)
    return tuple(receipts[position] for position in range(len(documents)))


def _send(documents: Mapping[int, Document], destination: DicomDestination) -> dict[int, Receipt]:
    if not documents:
        return {}
    try:
        with Sender(tuple(documents.values()), destination) as sender:
            return {position: _attempt(sender, document) for position, document in documents.items()}
    except AppError as error:
        return {position: _failed(document, destination, error) for position, document in documents.items()}


def peer_of(destination: DicomDestination) -> Peer:
    """Take the address out of a destination's settings."""
    return Peer(
        destination.host,
        destination.port,
        called=destination.ae_title,
        calling=destination.calling_ae_title,
        timeout_s=destination.timeout_s,
        tls=destination.tls,
    )


def _attempt(sender: "Sender", document: Document) -> Receipt:
    try:
        return sender.send(document)
    except AppError as error:
        return _failed(document, sender.destination, error)


def _failed(document: Document, destination: DicomDestination, error: AppError) -> Receipt:
    return Receipt(destination.name, document.path.name, delivered=False, attempts=1, detail=str(error))


class Sender(AbstractContextManager["Sender"]):
    """One association to a destination, for the documents it was opened with."""

    def __init__(self, documents: Sequence[Document], destination: DicomDestination) -> None:
        self.destination = destination
        self._syntaxes = [_syntaxes(document) for document in documents]
        self._association: Association | None = None

    def __enter__(self) -> Self:
        """Open the association; see `app.deliver.ways.deliver` for what it raises."""
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in dict.fromkeys(self._syntaxes)]
        self._association = associate(peer_of(self.destination), contexts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the association."""
        if self._association is not None:
            close(self._association)

    def send(self, document: Document) -> Receipt:
        """Store one of the documents; see `app.deliver.ways.deliver` for the rest."""
        association = self._association
        if association is None or not association.is_established:
            raise Retryable(f"{self.destination.name}: the association was lost before {document.path.name}")
        sop_class, syntax = _syntaxes(document)
        if not accepts(association, sop_class, syntax):
            raise Rejected(
                f"{self.destination.name}: SOP class not supported: {document.kind.value} was not accepted; "
                "leave it out of the destination's documents"
            )
        started = time.perf_counter()
        name = self.destination.name
        try:
            status = store(association, document.path)
        except Retryable as error:
            raise Retryable(f"{name}: {error}") from error
        detail = in_words(status)
        seconds = round(time.perf_counter() - started, 3)
        log.info("document_sent", destination=name, kind=document.kind.value, status=detail, seconds=seconds)
        verdict = meaning(status).verdict
        if verdict is Verdict.AGAIN:
            raise Retryable(f"{name}: {detail}")
        if verdict is Verdict.REFUSED:
            raise Rejected(f"{name}: {detail}")
        return Receipt(name, document.path.name, delivered=True, attempts=1, detail=detail)


def store(association: Association, path: Path) -> int:
    """Send one file as it is encoded.

    Returns:
        The status.

    Raises:
        Retryable: No answer came, or none to this; the association is closed then.
    """
    started = time.perf_counter()
    try:
        status = association.send_c_store(path).get("Status")
    except (RuntimeError, OSError) as error:
        close(association)
        raise Retryable(f"{path.name}: the association was lost while sending") from error
    if status is None:
        close(association)
        waited = time.perf_counter() - started
        why = "no answer" if waited >= (association.dimse_timeout or 0) else "the peer aborted"
        raise Retryable(f"{path.name}: {why} after {waited:.1f} s")
    return int(status)


def _syntaxes(document: Document) -> tuple[str, str]:
    if document.problem:
        raise Rejected(f"{document.path.name} was never made: {document.problem}")
    if document.kind not in DICOM_KINDS:
        raise Rejected(f"{document.path.name}: {document.kind.value} is no DICOM object and cannot be sent by DIMSE")
    return syntaxes(document.path)


def syntaxes(path: Path) -> tuple[str, str]:
    """Read SOP class and transfer syntax of a file.

    Raises:
        Rejected: The file is missing, is no DICOM file, or lacks its file meta information.
    """
    readable(path)
    try:
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError, ValueError, EOFError, OSError) as error:
        raise Rejected(f"{path.name}: no DICOM file with file meta information ({type(error).__name__})") from error
