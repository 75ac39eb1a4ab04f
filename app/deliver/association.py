"""Associations as a sender needs them: no waiting on small packets, bounded in time, failures told apart."""

import logging
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from app.deliver.connection import broken_off
from app.errors import AppError, Rejected, Retryable
from app.tls.client import Context, client_context, refusal
from app.tls.settings import Tls

# Send the bytes of the file as they are: a document is never decoded and encoded again on its way out.
_config.STORE_SEND_CHUNKED_DATASET = True
# The library logs peers' answers and, in part, identifiers as text; what matters is logged here as events.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

MAX_PDU = 131_072
TRANSIENT = 2


_loop = Association._run_reactor  # noqa: SLF001


@wraps(_loop)
def _loop_that_ends_paused(association: Association) -> None:
    """Run an association's loop; once it has ended, nobody is to wait for its next pause.

    pynetdicom 3.0.4 waits without end in `release` and every `send_…` where the connection broke in the wrong
    millisecond: the loop has ended, and had said last that it is not paused. The method is replaced and not the class,
    since `AE` counts as its associations those of the class it knows.
    """
    try:
        _loop(association)
    finally:
        association._is_paused = True  # noqa: SLF001


Association._run_reactor = _loop_that_ends_paused  # noqa: SLF001


def _paused(association: Association) -> bool:
    """Whether an association's loop rests, so that another thread may talk and hear."""
    return bool(vars(association).get("_is_paused", False))


def _note_paused(association: Association, value: bool) -> None:
    """Believe the loop's own thread alone, once its first value is set, and whoever ends the loop.

    A report (N-EVENT-REPORT) is served by another thread, which in pynetdicom 3.0.4 says in the end that the loop does
    not rest. Where it does, since `release` has just stopped it, `release` would wait without end.
    """
    first = "_is_paused" not in vars(association)
    ended = value and association._kill  # noqa: SLF001
    if first or ended or threading.current_thread() is association:
        vars(association)["_is_paused"] = value


Association._is_paused = property(_paused, _note_paused)  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to talk to, and as whom.

    Attributes:
        host, port: Where it listens.
        called, calling: Its AE title and ours.
        timeout_s: For the connection, and for each answer.
        tls: None speaks DICOM without TLS.
    """

    host: str
    port: int
    called: str
    calling: str
    timeout_s: float
    tls: Tls | None = None

    def __str__(self) -> str:
        return f"{self.called} at {self.host}:{self.port}"


def associate(
    peer: Peer, contexts: Sequence[PresentationContext], handlers: Sequence[tuple[Any, ...]] = ()
) -> Association:
    """Open an association that proposes `contexts`, at most 128; `handlers` serve what the peer asks on it.

    Raises:
        Retryable: Nobody answers, the peer aborts, or it rejects for now.
        Rejected: The peer rejects for good, or accepts none of the contexts; certificates do not fit.
    """
    secure = None if peer.tls is None else client_context(peer.tls, str(peer))
    entity = AE(ae_title=peer.calling)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = peer.timeout_s
    # Longer than the others: the answer that fails to come is to be named, not the silence.
    entity.network_timeout = peer.timeout_s + 1
    opened: list[bool] = []
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.called,
            max_pdu=MAX_PDU,
            tls_args=None if secure is None else (secure, peer.host),
            evt_handlers=[(evt.EVT_CONN_OPEN, _on_open, [opened]), *handlers],
        )
    except OSError as error:
        raise Retryable(f"{peer}: {error.strerror or error}; is the host name right?") from error
    if not association.is_established:
        raise _tls_trouble(secure, association, peer) or _why(association, peer, bool(opened))
    return association


def close(association: Association) -> None:
    """Release, or abort where the peer no longer answers."""
    if association.is_established:
        association.release()
    if not (association.is_released or association.is_aborted or association.is_rejected):
        association.abort()


def accepts(association: Association, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
    """Whether the peer accepted a SOP class in a transfer syntax."""
    return any(
        context.abstract_syntax == sop_class_uid and transfer_syntax_uid in context.transfer_syntax
        for context in association.accepted_contexts
    )


def readable(path: Path) -> None:
    """Check that a file to send is there.

    Raises:
        Rejected: It is not.
    """
    if not path.is_file():
        raise Rejected(f"{path.name} is not there; it may have been removed with the folder of results")


def _on_open(event: evt.Event, opened: list[bool]) -> None:
    opened.append(True)
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _tls_trouble(secure: Context | None, association: Association, peer: Peer) -> AppError | None:
    trouble = None if secure is None else secure.trouble
    if trouble is None or association.is_rejected:
        return None
    if found := refusal(trouble, peer.tls, str(peer)):
        return found
    lost = isinstance(trouble, TimeoutError | ConnectionResetError | BrokenPipeError)
    return broken_off(trouble, peer.tls, str(peer)) if lost else None


def _why(association: Association, peer: Peer, opened: bool) -> AppError:
    if not opened:
        return Retryable(f"{peer}: no connection; is the peer running, and are host and port right?")
    answer = association.acceptor.primitive
    if association.is_rejected and isinstance(answer, A_ASSOCIATE):
        words = f"{peer}: association rejected: {answer.reason_str}"
        if answer.result == TRANSIENT:
            return Retryable(f"{words} ({answer.result_str}); tried again later")
        return Rejected(f"{words} ({answer.result_str}); are both AE titles known to the peer?")
    if isinstance(answer, A_ASSOCIATE) and answer.result == 0:
        return Rejected(f"{peer}: SOP class not supported: the peer accepted none of the kinds of object proposed")
    return Retryable(f"{peer}: association aborted or not answered in time")
