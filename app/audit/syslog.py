"""Audit messages to a syslog server (RFC 5424, as PS3.15 section A.6 asks), over TLS or by UDP."""

import os
import socket
from contextlib import closing
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from app.audit.settings import Syslog
from app.errors import Rejected
from app.tls.client import client_context

PRIORITY: Final = 10 * 8 + 5
"""Facility security and authorization, severity notice."""
MESSAGE_ID: Final = "DICOM+RFC3881"
_MARK: Final = b"\xef\xbb\xbf"


class Sender:
    """Sends messages to one server; the connection by TLS is kept, and made anew where it was lost.

    Args:
        options: The server.
        name: APP-NAME.
    """

    def __init__(self, options: Syslog, name: str) -> None:
        self._options, self._name = options, name
        self._connection: socket.socket | None = None
        self._lock = Lock()

    def send(self, xml: str, at: float) -> None:
        """Send a message that was made at that Unix time.

        Raises:
            OSError: It could not be sent. By UDP nobody tells whether it came.
        """
        content = frame(xml, at, self._name)
        with self._lock:
            if self._options.tls is None:
                self._by_udp(content)
            else:
                self._by_tls(b"%d %b" % (len(content), content))

    def _by_udp(self, content: bytes) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(
            self._options.host, self._options.port, type=socket.SOCK_DGRAM
        )[0]
        with closing(socket.socket(family, kind, protocol)) as outlet:
            outlet.sendto(content, address)

    def _by_tls(self, content: bytes) -> None:
        kept = self._connection
        if kept is not None and not _is_over(kept):
            try:
                kept.sendall(content)
            except OSError:
                self._drop()
            else:
                return
        self._drop()
        self._connection = self._connect()
        try:
            self._connection.sendall(content)
        except OSError:
            self._drop()
            raise

    def _connect(self) -> socket.socket:
        host, port, seconds = self._options.host, self._options.port, self._options.timeout_s
        try:
            context = client_context(self._options.tls, "audit.syslog")
        except Rejected as error:
            raise OSError(str(error)) from error
        plain = socket.create_connection((host, port), timeout=seconds)
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def frame(xml: str, at: float, name: str) -> bytes:
    """Put the header of RFC 5424 before a message."""
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    host = socket.gethostname().encode("ascii", "replace").decode().replace(" ", "-")[:255] or "-"
    header = f"<{PRIORITY}>1 {time} {host} {name.replace(' ', '-')[:48]} {os.getpid()} {MESSAGE_ID} - "
    return header.encode("ascii", "replace") + _MARK + xml.encode("utf-8")


def _is_over(connection: socket.socket) -> bool:
    """Whether the server has closed a connection: a message sent on it would be lost without a word."""
    patience = connection.gettimeout()
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, OSError) as error:
        return not isinstance(error, BlockingIOError) and "did not complete" not in str(error)
    finally:
        connection.settimeout(patience)
