"""What wakes a thread, and the socket that reads without copying. Used by `upper_layer` and `association`."""

import queue
import select
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

_BUFFER: Final = 1 << 18

_Item = TypeVar("_Item")


class RingingQueue(queue.Queue[_Item]):
    """A queue that rings when something is put into it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: _Item, block: bool = True, timeout: float | None = None) -> None:
        """Put an item and ring."""
        super().put(item, block, timeout)
        self._ring()


class Doorbell:
    """Wakes a thread that sleeps in `poll`. A pair of sockets: unlike a pipe's number, a closed one is never reused."""

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._inside.fileno()

    def ring(self) -> None:
        """Wake the sleeper. Does nothing after `close`."""
        try:
            self._outside.send(b"\0")
        except OSError:  # full: it rings already; closed: nobody sleeps any more
            return

    def silence(self) -> None:
        """Be quiet until the next ring."""
        try:
            self._inside.recv(4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give both ends back."""
        self._inside.close()
        self._outside.close()


class BufferedSocket(AssociationSocket):  # type: ignore[misc]
    """An association's socket with one receive buffer, from which fragments are taken without a copy."""

    def __init__(self, assoc: Association, client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._view = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0
        self._poll = select.poll()
        self._poll.register(client_socket, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Whether something can be read without waiting."""
        if self.socket is None or not self._is_connected:
            return False
        return self._start < self._end or bool(self._poll.poll(0))

    def arrived(self) -> bool:
        """Whether a descriptor that became readable means that data, or their end, can be read."""
        return True

    def recv(self, nr_bytes: int) -> bytearray:
        """Read that many bytes, fewer only where the connection ends before (pynetdicom's contract)."""
        received = bytearray()
        while len(received) < nr_bytes:
            chunk = self.take(nr_bytes - len(received))
            if not chunk:
                break
            received += chunk
        return received

    def take(self, limit: int) -> memoryview:
        """Take up to `limit` bytes as they come; empty at the end of the connection. Valid until the next call.

        Raises:
            OSError: The connection broke, or nothing came in time.
        """
        if self._start == self._end:
            self._fill(0)
        self._start, start = min(self._start + limit, self._end), self._start
        return self._view[start : self._start]

    def peek(self, count: int) -> memoryview:
        """Look at the next `count` bytes without taking them; fewer only where the connection ends before.

        Raises:
            OSError: The connection broke, or nothing came in time.
        """
        if self._start + count > _BUFFER:
            rest = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, len(rest)
            self._view[: len(rest)] = rest
        while self._end - self._start < count:
            if not self._fill(self._end if self._start < self._end else 0):
                break
        return self._view[self._start : min(self._start + count, self._end)]

    def release(self) -> None:
        """Give the buffer back; pynetdicom's objects refer to each other and live until the next garbage collection."""
        self._start = self._end = 0
        self._view = memoryview(b"")

    def _fill(self, at: int) -> int:
        if self.socket is None:
            return 0
        if at == 0:
            self._start = self._end = 0
        received: int = self.socket.recv_into(self._view[at:])
        self._end = at + received
        return received


class SecureSocket(BufferedSocket):
    """The same over TLS, whose records arrive in pieces, or hold nothing for us."""

    socket: ssl.SSLSocket | None

    @property
    def ready(self) -> bool:
        """Whether something can be read without waiting."""
        if self.socket is None or not self._is_connected:
            return False
        if self._start < self._end or self.socket.pending():
            return True
        return bool(self._poll.poll(0)) and self.arrived()

    def arrived(self) -> bool:
        """Read what is there; False where it makes up no data yet."""
        if self.socket is None or self._start < self._end:
            return True
        patience = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            self._fill(0)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            return True  # whoever reads next meets it again
        finally:
            self.socket.settimeout(patience)
        return True
