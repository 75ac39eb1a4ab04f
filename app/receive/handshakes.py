"""TLS handshakes beside the loop that accepts: bounded in time and in number, each refusal counted with its reason.

The bounds are two: of all, and of one address, so that one silent machine does not keep the others out.
"""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import structlog

from app.audit.trail import Trail
from app.receive.refusals import refused
from app.tls.renewal import ListenerContext

AT_ONCE: Final = 64
AT_ONCE_FROM_ONE: Final = 48
_CLIENT_HELLO: Final = b"\x16"
"""Content type of a TLS record that holds a handshake (RFC 8446 section 5.1); a DICOM A-ASSOCIATE-RQ begins with 01."""

_UNKNOWN_SIGNER: Final = frozenset({2, 18, 19, 20, 21})
_VERIFIED: Final = {10: "tls_expired", 9: "tls_not_yet_valid"} | dict.fromkeys(_UNKNOWN_SIGNER, "tls_unknown_signer")
_REASONS: Final = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "tls_no_certificate"),
    ("NO_SHARED_CIPHER", "tls_cipher"),
    ("NO_SHARED_GROUP", "tls_cipher"),
    ("NO_SUITABLE_KEY_SHARE", "tls_cipher"),
    ("NO_SHARED_SIGNATURE", "tls_cipher"),
    ("UNSUPPORTED_PROTOCOL", "tls_version"),
    ("VERSION_TOO_LOW", "tls_version"),
    ("WRONG_VERSION", "tls_version"),
    ("ALERT_PROTOCOL_VERSION", "tls_version"),
    ("ALERT", "tls_doubts_us"),
)

_log = structlog.get_logger()


class Handshakes:
    """Shakes hands with callers, one thread each.

    Args:
        contexts: Of the port.
        seconds: A caller gets so long, from its first byte to its last.
        trail: Of audit messages.
        enter: Takes the connection of a caller that has come through, with its address.
    """

    def __init__(
        self, contexts: ListenerContext, seconds: float, trail: Trail, enter: Callable[[ssl.SSLSocket, Any], None]
    ) -> None:
        self._contexts, self._seconds, self._trail, self._enter = contexts, seconds, trail, enter
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()
        self._stopped = False

    @property
    def under_way(self) -> int:
        """How many callers shake hands now."""
        return self._under_way.total()

    def begin(self, connection: socket.socket, address: Any) -> None:
        """Shake hands in a thread of its own; does not wait."""
        host = str(address[0])
        with self._lock:
            too_many = self.under_way >= AT_ONCE or self._under_way[host] >= AT_ONCE_FROM_ONE
            if not too_many:
                self._under_way[host] += 1
        if too_many:
            connection.close()
            refused("tls_too_many", host, trail=self._trail)
            return
        threading.Thread(target=self._run, args=(connection, address), name="handshake", daemon=True).start()

    def stop(self) -> None:
        """Let nobody in any more who has not come through."""
        self._stopped = True

    def _run(self, connection: socket.socket, address: Any) -> None:
        secure = None
        try:
            secure = self._shake(connection, str(address[0]))
        except Exception as error:  # noqa: BLE001  the edge of a thread; logged, and the connection ends
            _log.error("handshake_failed", problem=type(error).__name__)
        finally:
            with self._lock:
                self._under_way -= Counter({str(address[0]): 1})
            if secure is None:
                connection.close()
        if secure is not None:
            self._hand_over(secure, address)

    def _hand_over(self, secure: ssl.SSLSocket, address: Any) -> None:
        try:
            if self._stopped:
                secure.close()
            else:
                self._enter(secure, address)
        except Exception as error:  # noqa: BLE001  the edge of a thread; logged, and the connection ends
            _log.warning("connection_failed", problem=type(error).__name__)
            secure.close()

    def _shake(self, connection: socket.socket, host: str) -> ssl.SSLSocket | None:
        """Shake hands; None where that ended badly, which has been told."""
        deadline = time.monotonic() + self._seconds
        secure = None
        try:
            connection.settimeout(self._seconds)
            first = connection.recv(1, socket.MSG_PEEK)
            if not first:
                return None  # a knock at the door, as load balancers do it
            if first != _CLIENT_HELLO:
                refused("tls_plain", host, trail=self._trail)
                return None
            context = self._contexts.current()
            secure = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            secure.settimeout(max(deadline - time.monotonic(), 0.001))
            secure.do_handshake()
        except OSError as error:
            refused(reason_of(error), host, trail=self._trail)
            if secure is not None:
                secure.close()
            return None
        return secure


def reason_of(error: OSError) -> str:
    """Name why a handshake failed, as `app.receive.refusals` knows it."""
    if isinstance(error, TimeoutError):
        return "tls_timeout"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFIED.get(error.verify_code, "tls_certificate")
    words = ((error.reason or "") if isinstance(error, ssl.SSLError) else "").upper()
    return next((reason for word, reason in _REASONS if word in words), "tls_broken")
