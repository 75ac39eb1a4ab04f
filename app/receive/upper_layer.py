"""pynetdicom's upper layer, woken by data instead of by the clock.

pynetdicom 3.0 runs two threads an association that look for work every millisecond, reads 4096 bytes at a time, and
copies and decodes every fragment several times. Here the upper layer sleeps in `poll` on its socket and a doorbell, the
association sleeps on an event, and the fragments of P-DATA-TF go from one receive buffer to `StorageService` without a
copy. Negotiation, release, abort, the state machine and its timers stay pynetdicom's own; so does every message that is
not a C-STORE.

Written against 3.0.4; `check_version` refuses others, and tests/unit/receive/test_upper_layer.py says what to look at
again when a new one comes.
"""

import select
import struct
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pynetdicom
import structlog
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_ASSOCIATE
from structlog.contextvars import bind_contextvars

from app.errors import Failed
from app.receive import metrics
from app.receive.command import ProtocolError
from app.receive.storage import StorageService
from app.receive.transport import BufferedSocket, Doorbell, RingingQueue

if TYPE_CHECKING:
    from app.receive.association import EventDrivenAssociation

LOOK_AROUND_S: Final = 0.5
DISCARD_S: Final = 2.0
"""After a breach of protocol: so long a peer has to close the connection, as it should after our A-ABORT."""
_KINDS: Final = range(0x01, 0x08)  # of PDUs, PS3.8 section 9.3.1
_FIRST: Final = frozenset({0x01, 0x07})  # A-ASSOCIATE-RQ, A-ABORT
_P_DATA: Final = 0x04
_MAX_OTHER_PDU: Final = 1 << 20  # everything but P-DATA is short; without a bound a peer could fill the memory
_DISCARD_AT_ONCE: Final = 1 << 16
_REJECTIONS: Final[Mapping[tuple[int, int], str]] = {(1, 7): "called_ae", (3, 2): "too_many"}

_log = structlog.get_logger()


def check_version() -> None:
    """Refuse a pynetdicom whose inner loops nobody has compared with this module.

    Raises:
        Failed: It is not 3.0.
    """
    if not pynetdicom.__version__.startswith("3.0."):
        raise Failed(
            f"app/receive/upper_layer.py was written against pynetdicom 3.0.4, found {pynetdicom.__version__}: "
            "install the version in constraints.txt"
        )


class EventDrivenUpperLayer(DULServiceProvider):  # type: ignore[misc]
    """The upper layer's thread: state machine, timers, and the short way for data.

    Attributes:
        rejection: Why we rejected the association; None where we did not.
        breach: What the peer did against the protocol; "" for nothing. Nothing that came after it was read.
        peer_left: Whether the peer closed the connection, or it broke.
    """

    socket: BufferedSocket

    def __init__(self, assoc: "EventDrivenAssociation") -> None:
        super().__init__(assoc)
        self.doorbell = Doorbell()
        self.to_provider_queue = RingingQueue[Any](self.doorbell.ring)
        self.to_user_queue = RingingQueue[Any](assoc.awake.set)
        self.rejection: str | None = None
        self.breach = ""
        self.peer_left = False
        self._discarded = 0
        self._discard_until = 0.0
        self._poll = select.poll()
        self._poll.register(self.doorbell, select.POLLIN)

    def run_reactor(self) -> None:
        """Run pynetdicom's loop, whose waiting happens in `_is_transport_event`."""
        bind_contextvars(association=self.assoc.correlation)
        if self.socket.socket is not None:
            self._poll.register(self.socket.socket, select.POLLIN)
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001  the edge of a thread; the association ends below
            _log.error("upper_layer_failed", problem=type(error).__name__)
        finally:
            self._kill_thread = True
            # An association that was never requested still waits for its first message; None is "there is none".
            self.to_user_queue.put(None)

    def send_pdu(self, primitive: Any) -> None:
        """Queue a primitive for the peer, and remember why an association was rejected."""
        if isinstance(primitive, A_ASSOCIATE) and primitive.result in (1, 2):
            self.rejection = _REJECTIONS.get((primitive.result_source, primitive.diagnostic), "other")
        elif isinstance(primitive, A_ASSOCIATE) and primitive.result == 0:
            metrics.ACCEPTED.inc()
        super().send_pdu(primitive)

    def kill_dul(self) -> None:
        """Stop the thread now, not at its next look around."""
        super().kill_dul()
        self.doorbell.ring()

    def close(self) -> None:
        """Give sockets and buffer back, once the thread has ended; tell of a breach, once for all that came with it."""
        if self.breach:
            address = self.assoc.requestor.address
            _log.warning("protocol_error", problem=self.breach, peer=address, discarded_bytes=self._discarded)
        self.doorbell.close()
        if self.socket.socket is not None:
            self.socket.socket.close()
        self.socket.release()

    def _is_transport_event(self) -> bool:
        """Wait for the peer, the association or a timer, and read what the peer sent."""
        if self.state_machine.current_state == "Sta13":
            return self._discard() if self.breach else bool(super()._is_transport_event())
        while self.event_queue.empty() and not self._kill_thread and not self.artim_timer.expired:
            ready = self.socket.ready or self._wait()
            if self._process_recv_primitive():
                break
            if ready:
                self._idle_timer.restart()
                self._read_pdu_data()
        return False

    def _wait(self) -> bool:
        ready = False
        for descriptor, _ in self._poll.poll(min(LOOK_AROUND_S, max(self.artim_timer.remaining, 0)) * 1000):
            if descriptor == self.doorbell.fileno():
                self.doorbell.silence()
            else:
                ready = self.socket.arrived()
        return ready

    def _read_pdu_data(self) -> None:
        """Read one PDU: data on the short way, everything else on pynetdicom's."""
        try:
            header = self.socket.peek(6)
            if len(header) < 6:
                self._lost()
                return
            kind, length = struct.unpack(">BxI", header)
            if kind == _P_DATA and self.state_machine.current_state == "Sta6":
                self.socket.take(6)
                self._read_data(length)
            else:
                _check_header(kind, length, begun=self.state_machine.current_state != "Sta2")
                super()._read_pdu_data()
                self._look_for_breach()
        except ProtocolError as error:
            self._break_off(str(error))
            self.event_queue.put("Evt19")  # invalid PDU: the state machine aborts
        except OSError:
            self._lost()

    def _lost(self) -> None:
        self.peer_left = True
        self.event_queue.put("Evt17")  # connection closed

    def _look_for_breach(self) -> None:
        """See whether pynetdicom could not decode what it read, which it tells the state machine alone."""
        if "Evt19" in self.event_queue.queue:
            self._break_off("malformed PDU")

    def _break_off(self, problem: str) -> None:
        if not self.breach:
            self.breach = problem
            self._discard_until = time.monotonic() + DISCARD_S
            metrics.REJECTED.labels("protocol").inc()

    def _discard(self) -> bool:
        """After A-ABORT: take what still comes without a look at it, until the peer closes or had its time.

        Where a breach is, no PDU begins anywhere any more; and closing on bytes that nobody took would reset the
        connection, and our A-ABORT on its way with it (PS3.8 section 9.2: state 13 awaits that the peer closes).
        """
        try:
            taken = len(self.socket.take(_DISCARD_AT_ONCE)) if self.socket.ready or self._wait() else None
        except OSError:
            taken = 0
        self._discarded += taken or 0
        if taken == 0 or time.monotonic() > self._discard_until:
            self.socket.close()
        return True

    def _read_data(self, length: int) -> None:
        """Read the presentation data values of a P-DATA-TF PDU (PS3.8 §9.3.5)."""
        service: StorageService = self.assoc.service
        while length > 0:
            header = self.socket.peek(6)
            if len(header) < 6:
                raise ConnectionError
            item, context_id, control = struct.unpack(">IBB", header)
            self.socket.take(6)
            length -= item + 4
            left = item - 2
            if left < 0 or length < 0:
                raise ProtocolError("lengths of a P-DATA-TF PDU do not add up")
            while left:
                chunk = self.socket.take(left)
                if not chunk:
                    raise ConnectionError
                left -= len(chunk)
                service.fragment(control, chunk)
                self._idle_timer.restart()
            service.end_of_fragment(context_id, control)
        self._idle_timer.restart()


def _check_header(kind: int, length: int, *, begun: bool) -> None:
    if kind not in _KINDS:
        raise ProtocolError("unknown kind of PDU")
    if not begun and kind not in _FIRST:
        raise ProtocolError("PDU before an association was asked for")
    if length > _MAX_OTHER_PDU:
        raise ProtocolError("oversized PDU")
