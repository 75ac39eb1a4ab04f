"""An association that stores what comes, and the server that accepts it."""

import socket
import ssl
import threading
import time
import uuid
from collections.abc import Sequence
from socketserver import TCPServer
from typing import Any, Final

import structlog
from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AddressInformation, AssociationServer, RequestHandler
from structlog.contextvars import bind_contextvars

from app.audit.settings import Audit
from app.audit.trail import Trail
from app.commitments import Ledger, refuse_request, take_report
from app.peers import Objection, Peer, may_store, objection
from app.receive import metrics
from app.receive.command import pdus
from app.receive.entity import AT_THE_DOOR, Entity, to_make_room
from app.receive.handshakes import Handshakes
from app.receive.refusals import refused
from app.receive.spool import Spool
from app.receive.storage import Context, StorageService
from app.receive.transport import BufferedSocket, RingingQueue, SecureSocket
from app.receive.upper_layer import LOOK_AROUND_S, EventDrivenUpperLayer
from app.receive.witness import tell_received
from app.tls.certificates import Facts, of_der
from app.tls.renewal import ListenerContext

_SPARE_CONNECTIONS: Final = 16
CALLING_AE_NOT_RECOGNIZED: Final = (0x01, 0x01, 0x03)
"""Result, source and reason of an A-ASSOCIATE-RJ."""

_log = structlog.get_logger()


class EventDrivenAssociation(Association):  # type: ignore[misc]
    """An accepted association that stores what comes.

    Attributes:
        asked: Whether the caller has asked for an association; until then it is a connection at the door.
        since: When it came, seconds of the monotonic clock.
        sent_away: Whether it had to make room for others at the door.
    """

    is_established: bool

    def __init__(self, server: "ListeningServer") -> None:
        self.awake = threading.Event()
        # In every log line of both its threads: what came together can be found together.
        self.correlation = uuid.uuid4().hex[:12]
        super().__init__(server.ae, MODE_ACCEPTOR)
        self._server = server
        self.dul = EventDrivenUpperLayer(self)
        self.dimse.msg_queue = RingingQueue[Any](self.awake.set)
        # Set once more: the first time they went to the upper layer that was just replaced.
        self.acse_timeout = self.ae.acse_timeout
        self.network_timeout = self.ae.network_timeout
        self._spool = server.spool
        self._service: StorageService | None = None
        self._objection: Objection | None = None
        self.asked = self.sent_away = False
        self.since = time.monotonic()
        self.name = f"AcceptorThread@{id(self):x}"

    @property
    def address(self) -> str:
        """From where it came."""
        return str(self.requestor.address)

    def send_away(self) -> None:
        """End the connection of a caller that has not asked for anything."""
        self.sent_away = True
        self.dul.kill_dul()

    @property
    def service(self) -> StorageService:
        """What stores; made when the first data arrive, after negotiation."""
        if self._service is None:
            contexts = {
                number: Context(str(context.abstract_syntax), str(context.transfer_syntax[0]))
                for number, context in self._accepted_cx.items()
            }
            calling_ae = str(self.requestor.ae_title).strip()
            self._service = StorageService(
                self._spool, calling_ae, contexts, self._respond, self._forward, may_store=may_store(calling_ae)
            )
        return self._service

    def judge(self, certificate: Facts | None) -> None:
        """Reject the association that was asked for, where its caller is none that may send.

        Why stands in our log alone: the answer is the same for all (PS3.8 section 9.3.4: rejected permanently by the
        service user, calling AE title not recognized), so that who tries titles learns nothing.
        """
        self.asked = True
        calling_ae = str(self.requestor.primitive.calling_ae_title).strip()
        self._objection = objection(self._server.peers, calling_ae, str(self.requestor.address), certificate)
        if self._objection is not None:
            self.requestor.ae_title = calling_ae
            self.acse.send_reject(*CALLING_AE_NOT_RECOGNIZED)
            self.kill()

    def run_reactor(self) -> None:
        """Live from the connection to its end, and leave nothing behind."""
        bind_contextvars(association=self.correlation)
        with metrics.OPEN.track_inprogress():
            try:
                super().run_reactor()
            except Exception as error:  # noqa: BLE001  the edge of a thread; logged, and the association ends
                _log.error("association_failed", problem=type(error).__name__)
            finally:
                self.dul.kill_dul()
                self.dul.join()
                if self._service is not None:
                    self._service.close(released=self.is_released)
                self.dul.close()
                self._report()

    def _run_reactor(self) -> None:
        """Pynetdicom's acceptor loop with an event in place of its sleep."""
        while not self._kill:
            self.awake.wait(LOOK_AROUND_S)
            self.awake.clear()
            while True:
                context_id, message = self.dimse.get_msg(block=False)
                if message is None:
                    break
                self._serve_request(message, context_id)
            if self.is_established and self.acse.is_release_requested():
                self.acse.send_release(is_response=True)
                self.is_released = True
                self.is_established = False
                self.kill()
            elif self.acse.is_aborted():
                self.is_aborted = True
                self.is_established = False
                self.kill()
            elif not self.dul.is_alive():
                self.kill()
            elif self.dul.idle_timer_expired():
                _log.warning("association_idle", seconds=self.network_timeout)
                self.abort()
                self.kill()

    def _respond(self, context_id: int, command: bytes) -> None:
        self.dul.socket.send(pdus(context_id, command, self.requestor.maximum_length or 0))

    def _forward(self, context_id: int, command: bytes, data: bytes) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context_id, b"\x03" + command))
        if data:
            primitive.presentation_data_value_list.append((context_id, b"\x02" + data))
        self.dimse.receive_primitive(primitive)

    def _report(self) -> None:
        rejection = self._objection or self.dul.rejection
        if not (self.asked or self.dul.breach or self.dul.peer_left or self.is_aborted):
            # Counted, and no line: somebody who keeps a door open by silence could fill the log by it.
            metrics.REJECTED.labels("silent").inc()
        if rejection is not None:
            refused(rejection, self.requestor.address, str(self.requestor.ae_title).strip(), trail=self._server.trail)
        elif self._service is not None:
            tally = self._service.tally
            calling_ae, address = str(self.requestor.ae_title).strip(), str(self.requestor.address)
            brought = self._service.brought.values()
            tell_received(self._server.trail, calling_ae, address, brought, whole=self.is_released)
            # The health check asks every few seconds; who sends no image is of no interest.
            tell = _log.info if tally.requests else _log.debug
            if tally.images and not self.is_released:
                metrics.BROKEN_OFF.inc()
            for study, images in tally.studies.items():
                _log.info("images_received", study=study, images=images, released=self.is_released)
            tell(
                "association_ended",
                how="released" if self.is_released else "aborted",
                images=tally.images,
                bytes=tally.bytes,
                refused=tally.refused,
                peer=self.requestor.address,
            )


class _Handler(RequestHandler):  # type: ignore[misc]
    """Turns an accepted connection into an association."""

    server: "ListeningServer"

    def _create_association(self) -> EventDrivenAssociation:
        ae = self.ae
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that stops in the middle of a PDU; between PDUs the idle timer counts.
        self.request.settimeout(self.server.stall_s)
        assoc = EventDrivenAssociation(self.server)
        secure = isinstance(self.request, ssl.SSLSocket)
        assoc.set_socket(SecureSocket(assoc, self.request) if secure else BufferedSocket(assoc, self.request))
        assoc.acceptor.maximum_length = ae.maximum_pdu_size
        assoc.acceptor.ae_title = self.server.ae_title
        assoc.acceptor.address_info = self.local
        assoc.acceptor.implementation_class_uid = ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = ae.implementation_version_name
        assoc.acceptor.supported_contexts = list(self.server.contexts)
        assoc.requestor.address_info = self.remote
        certificate = _certificate(self.request)
        assoc.bind(evt.EVT_REQUESTED, lambda event: event.assoc.judge(certificate))
        assoc.bind(evt.EVT_N_EVENT_REPORT, take_report, [self.server.ledger])
        assoc.bind(evt.EVT_N_ACTION, refuse_request)
        return assoc


class ListeningServer(AssociationServer):  # type: ignore[misc]
    """Accepts connections from a socket that may be shared by several processes.

    Args:
        ae: pynetdicom's application entity, with its limits and time-outs.
        listening: A bound and listening socket.
        spool: Where to store.
        stall_s: How long a peer may pause within a PDU, seconds.
        ledger: Storage commitments that we asked for; their answers go there.
        peers: Who may send; empty lets everybody in.
        secure: Of TLS, with the time for a handshake in seconds; None is plain DICOM.
        trail: Of audit messages; None writes none.
    """

    ae: Entity

    def __init__(
        self,
        ae: Entity,
        listening: socket.socket,
        spool: Spool,
        stall_s: float,
        ledger: Ledger,
        *,
        peers: Sequence[Peer] = (),
        secure: tuple[ListenerContext, float] | None = None,
        trail: Trail | None = None,
    ) -> None:
        self._listening = listening
        self.peers = peers
        self.trail = trail or Trail(Audit())
        self._handshakes = None if secure is None else Handshakes(*secure, self.trail, self.finish_request)
        self.spool = spool
        self.stall_s = stall_s
        self.ledger = ledger
        super().__init__(ae, listening.getsockname(), ae.ae_title, ae.supported_contexts, request_handler=_Handler)

    def server_bind(self) -> None:
        """Take the listening socket. Not blocking: another process may accept what woke this one."""
        self.socket.close()
        self.socket: socket.socket = self._listening
        self.socket.setblocking(False)
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Do nothing: it listens."""

    def service_actions(self) -> None:
        """Do nothing: pynetdicom's regular garbage collection would hold up every association."""

    def stop_accepting(self) -> None:
        """End `serve_forever` and close the door; the associations go on."""
        if self._handshakes is not None:
            self._handshakes.stop()
        TCPServer.shutdown(self)
        self.socket.close()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Bound threads and memory also against connections that never ask for an association.

        Who is silent for long makes room for the next: a sender that asks is let in, however many are silent.
        """
        waiting = self.ae.silent
        leaving = to_make_room(waiting, time.monotonic()) if len(waiting) >= AT_THE_DOOR else None
        crowded = len(waiting) >= AT_THE_DOOR and leaving is None
        if crowded or len(self.ae.connections) >= self.ae.maximum_associations + AT_THE_DOOR + _SPARE_CONNECTIONS:
            metrics.REJECTED.labels("connections").inc()
            return False
        if leaving is not None:
            leaving.send_away()
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin the association, with TLS after a handshake for which this loop does not wait."""
        if self._handshakes is None:
            self.finish_request(request, client_address)
        else:
            self._handshakes.begin(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log without a traceback: a connection that ended before it began is nobody's fault."""
        _log.warning("connection_failed")


def _certificate(connection: socket.socket) -> Facts | None:
    """What the caller's certificate says, where it has proven one."""
    der = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    try:
        return of_der(der) if der else None
    except ValueError:
        return None


def address_of(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Resolve where to listen: (family, socket address)."""
    information = AddressInformation.from_addr_port(host, port)
    return information.address_family, information.as_tuple
