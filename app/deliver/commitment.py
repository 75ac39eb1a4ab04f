"""Ask a DICOM peer whether it keeps what it took: storage commitment as SCU (PS3.4 Annex J)."""

import time
from typing import Final

import structlog
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.association import Association

from app.commitments import PUSH_MODEL, PUSH_MODEL_INSTANCE, SUCCESS, Answer, Ledger, take_report
from app.deliver.association import associate, close
from app.deliver.dimse import peer_of, syntaxes
from app.destinations import DicomDestination
from app.documents import Document
from app.errors import Rejected, Retryable

REQUEST: Final = 1  # action type "Request Storage Commitment" (PS3.4 table J.3-1)
GLANCE_S: Final = 0.02
# N-ACTION statuses that pass (PS3.7 Annex C); what is not known here does not.
PASSING: Final = {
    0x0110: "Processing failure",
    0x0210: "Duplicate invocation",
    0x0213: "Resource limitation",
}
LASTING: Final = {
    0x0112: "No such SOP instance",
    0x0115: "Invalid argument value",
    0x0118: "No such SOP class",
    0x0122: "SOP class not supported",
    0x0123: "No such action type",
    0x0124: "Not authorised",
    0x0211: "Unrecognised operation",
    0x0212: "Mistyped argument",
}
# Failure Reason (0008,1197), PS3.3 section C.14.1.1.
REASONS: Final = {
    0x0110: "Processing failure",
    0x0112: "No such object instance",
    0x0119: "Class/instance conflict",
    0x0122: "Referenced SOP class not supported",
    0x0131: "Duplicate transaction UID",
    0x0213: "Resource limitation",
}

log = structlog.get_logger()


def ask(document: Document, destination: DicomDestination, ledger: Ledger, wait_s: float) -> tuple[str, Answer | None]:
    """Ask for the commitment of one stored document, on an association of its own, and wait a little for the answer.

    Args:
        document: A DICOM document that the destination took.
        destination: Who took it.
        ledger: The answer may come there by way of the listener, also while this waits.
        wait_s: How long to keep the association for an answer on it.

    Returns:
        The transaction UID, and the answer where it came in time.

    Raises:
        Retryable: Nobody answers, or the peer cannot take the question now; or the folder of results cannot be written.
        Rejected: The peer does no storage commitment, or refuses the question.
    """
    name = destination.name
    try:
        transaction = ledger.begin(document.path.parent.name[:12])
    except OSError as error:
        raise Retryable(f"{name}: storage commitment: the folder of results cannot be written") from error
    try:
        association = associate(
            peer_of(destination),
            [build_context(PUSH_MODEL)],
            handlers=[(evt.EVT_N_EVENT_REPORT, take_report, [ledger])],
        )
    except Rejected as error:
        raise Rejected(
            f"{name}: storage commitment: {error}; a peer that does none needs a destination without `commitment`"
        ) from error
    except Retryable as error:
        raise Retryable(f"{name}: storage commitment: {error}") from error
    try:
        _request(association, name, transaction, document)
        answer = _wait(association, ledger, transaction, wait_s)
    finally:
        close(association)
    # Once more: it may have come while the association was released.
    return transaction, answer or ledger.look(transaction)


def verdict(answer: Answer, sop_instance_uid: str) -> str:
    """Whether a peer keeps an instance: "" where it does, else why not, in words."""
    if sop_instance_uid in answer.committed:
        return ""
    for uid, reason in answer.failed:
        if uid == sop_instance_uid:
            return f"0x{reason:04X} {REASONS.get(reason, 'Unknown failure')}"
    return "its answer does not name the document"


def _request(association: Association, name: str, transaction: str, document: Document) -> None:
    information = Dataset()
    information.TransactionUID = transaction
    item = Dataset()
    item.ReferencedSOPClassUID = syntaxes(document.path)[0]
    item.ReferencedSOPInstanceUID = document.sop_instance_uid
    information.ReferencedSOPSequence = [item]
    try:
        response, _ = association.send_n_action(information, REQUEST, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (RuntimeError, ValueError, OSError) as error:
        raise Retryable(f"{name}: storage commitment: the association was lost") from error
    status = response.get("Status")
    if status is None:
        raise Retryable(f"{name}: storage commitment: no answer to N-ACTION; does the peer know our AE title and port?")
    log.info("commitment_asked", destination=name, status=f"0x{status:04X}")
    if status == SUCCESS:
        return
    words = {**PASSING, **LASTING}.get(status, "Unknown failure")
    said = f"{name}: storage commitment: 0x{status:04X} {words}"
    raise Retryable(said) if status in PASSING else Rejected(said)


def _wait(association: Association, ledger: Ledger, transaction: str, wait_s: float) -> Answer | None:
    deadline = time.monotonic() + wait_s
    while (answer := ledger.look(transaction)) is None:
        left = deadline - time.monotonic()
        if left <= 0 or not association.is_established:
            return None
        time.sleep(min(GLANCE_S, left))
    return answer
