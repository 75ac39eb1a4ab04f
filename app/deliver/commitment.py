"""Ask a DICOM peer whether it keeps what it took: storage commitment as SCU (PS3.4 Annex J)."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from pydicom import Dataset
from pynetdicom import build_context, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import A_RELEASE

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
_END_OF_COMMAND: Final = 0b11
"""Of a message control header: the last fragment of a command (PS3.8 section E.2)."""


class _Responses:
    """Keeps our release of an association behind our responses to the reports that came on it.

    pynetdicom 3.0.4 serves a report in a thread of its own, in which we write the answer down before we respond. Who
    sees the answer and releases at once is faster than the response, which then comes in a state that forbids it (PS3.8
    table 9-10, Evt9 in Sta7): the upper layer ends, and the peer never hears that we know.
    """

    def __init__(self, wait_s: float) -> None:
        """Wait no longer than that, seconds, for a response to go out."""
        self._wait_s = wait_s
        self._owed = 0
        self._changed = threading.Condition()

    @property
    def handlers(self) -> list[tuple[evt.EventType, Callable[[evt.Event], None]]]:
        """What the association is to tell this."""
        return [
            (evt.EVT_DIMSE_RECV, self._received),
            (evt.EVT_PDU_SENT, self._sent),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_ACSE_SENT, self._before_release),
        ]

    def _received(self, event: evt.Event) -> None:
        """A report has come; the upper layer's own thread tells it, before anybody serves it."""
        if isinstance(event.message, N_EVENT_REPORT_RQ):
            self._owe(self._owed + 1)

    def _sent(self, event: evt.Event) -> None:
        """After a report the only commands that we send are responses; the upper layer's thread tells this, too."""
        if isinstance(event.pdu, P_DATA_TF) and self._owed:
            ends = [int(each.message_control_header_byte, 2) for each in event.pdu.presentation_data_value_items]
            self._owe(self._owed - sum(each & _END_OF_COMMAND == _END_OF_COMMAND for each in ends))

    def _closed(self, _: evt.Event) -> None:
        self._owe(0)

    def _owe(self, number: int) -> None:
        with self._changed:
            self._owed = number
            self._changed.notify_all()

    def _before_release(self, event: evt.Event) -> None:
        """Our own release, or abort: this is told before it is queued behind what is to be sent."""
        if isinstance(event.primitive, A_RELEASE):
            with self._changed:
                if not self._changed.wait_for(lambda: self._owed <= 0, self._wait_s):
                    log.warning("commitment_response_not_sent", waited_s=self._wait_s)


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
            handlers=[
                (evt.EVT_N_EVENT_REPORT, take_report, [ledger]),
                *_Responses(destination.timeout_s).handlers,
            ],
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
