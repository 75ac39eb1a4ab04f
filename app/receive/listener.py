"""The DIMSE listener: C-ECHO, C-STORE into the spool, and answers to storage commitments that we asked for.

In a process of its own that never imports torch.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from typing import Final

import structlog
from pynetdicom import ALL_TRANSFER_SYNTAXES, DEFAULT_TRANSFER_SYNTAXES, _config

from app import log
from app.audit.trail import Trail
from app.commitments import PUSH_MODEL, Ledger
from app.destinations import commitment_of
from app.errors import Failed
from app.exporter import observing
from app.ready import tell_ready
from app.receive.association import ListeningServer, address_of
from app.receive.dataset import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from app.receive.entity import Entity
from app.receive.objections import VERIFICATION
from app.receive.spool import Spool
from app.receive.upper_layer import check_version
from app.settings import Settings
from app.supervise import mark_dead
from app.tls.renewal import ListenerContext, listener_context

GRACE_S: Final = 5.0
_BACKLOG: Final = 128
_WATCH_S: Final = 0.5
LOOK_S: Final = 60.0

_log = structlog.get_logger()


def serve(settings: Settings, stop: threading.Event | None = None) -> None:
    """Listen until told to stop; associations that run then get a few seconds to finish.

    Args:
        settings: Of the installation; `listener` and `spool` are used.
        stop: Ends the listener. Without one, SIGTERM and SIGINT do.

    Raises:
        Failed: The port is taken, or pynetdicom is not the version this was written for.
        OSError: The spool's folder cannot be made.
    """
    stop = stop or _stop_on_signals()
    with _bound(settings) as listening:
        trail = Trail(settings.audit)
        trail.application("listener", starts=True)
        tell_ready()
        if settings.listener.processes > 1:
            _serve_in_processes(settings, listening, stop)
        else:
            with _serving(settings, listening) as look:
                while not stop.wait(LOOK_S):
                    look()
        trail.application("listener", starts=False)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[int]:
    """Run the listener in a thread of this process; yields the port it is bound to. For tests."""
    with _bound(settings) as listening, _serving(settings, listening):
        yield listening.getsockname()[1]


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """Bind the port, clean the spool, and say how open the door is."""
    options = settings.listener
    family, address = address_of(options.host, options.port)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            raise Failed(
                f"listener: cannot listen on {options.host}:{options.port} ({error.strerror}); "
                "end what holds the port, or set listener.port"
            ) from error
        left = Spool(settings.spool.folder, settings.spool.min_free_mb).clean()
        listening.listen(_BACKLOG)
        if options.tls is not None:
            listener_context(options.tls)  # what is wrong with the files is said here, not by each process
        if not options.peers:
            _log.warning("every_calling_ae_allowed", hint="set listener.peers to close the door")
        _log.info(
            "listening",
            host=options.host,
            port=listening.getsockname()[1],
            ae=options.ae_title,
            tls=options.tls is not None,
            half_files=left,
        )
        yield listening
    finally:
        listening.close()


@contextlib.contextmanager
def _serving(settings: Settings, listening: socket.socket) -> Iterator[Callable[[], None]]:
    """Accept associations from a listening socket, and let them finish at the end.

    Yields what is to be called now and then: it looks after the certificates.
    """
    check_version()
    _configure_pynetdicom()
    spool = Spool(settings.spool.folder, settings.spool.min_free_mb)
    ae = _application_entity(settings)
    ledger = Ledger(settings.results)
    options = settings.listener
    contexts = None if options.tls is None else ListenerContext(options.tls)
    secure = None if contexts is None or options.tls is None else (contexts, options.tls.handshake_s)
    server = ListeningServer(
        ae,
        listening,
        spool,
        options.dimse_timeout_s,
        ledger,
        peers=options.peers,
        secure=secure,
        trail=Trail(settings.audit),
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="listener")
    thread.start()
    try:
        yield contexts.look if contexts is not None else lambda: None
    finally:
        server.stop_accepting()
        thread.join()
        _finish(ae)


def _finish(ae: Entity) -> None:
    """Wait for the associations that run, then abort those that are left. Every acknowledged image is durable."""
    deadline = time.monotonic() + GRACE_S
    while ae.active_associations and time.monotonic() < deadline:
        time.sleep(0.02)
    left = ae.active_associations
    for association in left:
        association.abort()
    for silent in ae.silent:
        silent.send_away()
    for association in ae.connections:
        association.join(GRACE_S)
    _log.info("listener_stopped", aborted=len(left))


def _application_entity(settings: Settings) -> Entity:
    options = settings.listener
    processes = options.processes
    ae = Entity(options.ae_title)
    ae.add_supported_context(VERIFICATION, ALL_TRANSFER_SYNTAXES)
    if any(commitment_of(destination) for destination in settings.destinations):
        # We are its user: the peer that opens the association proposes itself as provider.
        ae.add_supported_context(PUSH_MODEL, DEFAULT_TRANSFER_SYNTAXES, scu_role=False, scp_role=True)
    ae.require_called_aet = options.require_called_ae
    ae.maximum_associations = -(-options.max_associations // processes)
    ae.maximum_pdu_size = options.max_pdu
    ae.acse_timeout = options.acse_timeout_s
    ae.dimse_timeout = options.dimse_timeout_s
    ae.network_timeout = options.network_timeout_s
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION
    return ae


def _configure_pynetdicom() -> None:
    _config.UNRESTRICTED_STORAGE_SERVICE = True  # every storage SOP class, retired, private and future ones included
    _config.LOG_HANDLER_LEVEL = "none"  # its handlers format every PDU
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.ERROR)
    if not any(isinstance(handler, _WithoutPatients) for handler in logger.handlers):
        logger.addHandler(_WithoutPatients(logging.ERROR))
        logger.propagate = False


class _WithoutPatients(logging.Handler):
    """Passes on where pynetdicom met an error; its words may quote what was sent."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        _log.warning("pynetdicom_error", module=record.module, line=record.lineno, problem=kind and kind.__name__)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _serve_in_processes(settings: Settings, listening: socket.socket, stop: threading.Event) -> None:
    """Share the socket among processes, and replace one that dies."""
    context = multiprocessing.get_context("spawn")

    def start() -> BaseProcess:
        process = context.Process(target=_serve_as_child, args=(settings, listening), name="listener")
        process.start()
        return process

    children = [start() for _ in range(settings.listener.processes)]
    while not stop.wait(_WATCH_S):
        for index, child in enumerate(children):
            if not child.is_alive():
                _log.error("listener_process_died", exit_code=child.exitcode)
                mark_dead(child.pid or 0, os.environ)
                children[index] = start()
    listening.close()
    for child in children:
        child.terminate()
    for child in children:
        child.join(2 * GRACE_S)
        if child.is_alive():
            child.kill()


def _serve_as_child(settings: Settings, listening: socket.socket) -> None:
    log.configure(settings.log, "listener")
    stop = _stop_on_signals()
    parent = multiprocessing.parent_process()
    with observing("listener"), _serving(settings, listening) as look:
        while not stop.wait(_WATCH_S) and (parent is None or parent.is_alive()):
            look()
