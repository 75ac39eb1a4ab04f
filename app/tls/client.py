"""TLS as a sender needs it: 1.2 or later, the peer's certificate always checked, and every refusal in words.

The profile is that of PS3.15 B.9 in what it shares with any client (TLS 1.2 at least); cipher suites are OpenSSL's own.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.errors import AppError, Rejected, Retryable
from app.tls.profile import load_authorities, load_pair
from app.tls.settings import Tls

OTHER_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
EXPIRED, NOT_YET = 10, 9
UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21})
NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
TOO_OLD = ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW")
WANTS_OURS = ("CERTIFICATE_REQUIRED",)
DOUBTS_OURS = ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_", "ALERT_UNSUPPORTED_CERTIFICATE")


class Context(ssl.SSLContext):
    """For one connection.

    Attributes:
        trouble: The last error of a socket of it: pynetdicom keeps none.
    """

    trouble: OSError | None = None


class _Socket(ssl.SSLSocket):
    def connect(self, addr: Any) -> None:
        with self._noted():
            super().connect(addr)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        with self._noted():
            return super().recv(buflen, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        with self._noted():
            return super().send(data, flags)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(self.context, Context):
                self.context.trouble = error
            raise


Context.sslsocket_class = _Socket


def client_context(tls: Tls | None, who: str) -> Context:
    """Make what a connection to `who` needs; None: what the system trusts, and no certificate of ours.

    Raises:
        Rejected: A file is missing, or is no PEM of what it should be.
    """
    tls = tls or Tls()
    made = Context(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = tls.check_host_name
    load_authorities(made, tls.ca_file, who)
    if tls.ca_file is not None:
        # Whom the file names is trusted, be it the peer itself and not who signed for it.
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.pair is not None:
        load_pair(made, tls.pair, who)
    return made


def refusal(error: BaseException | None, tls: Tls | None, who: str) -> AppError | None:
    """Tell in words why TLS failed.

    Args:
        error: As caught; those that it came from are looked at too.
        tls: The settings.
        who: The peer, for the message.

    Returns:
        Rejected where certificates or versions do not fit, Retryable where the connection broke during TLS; None where
        TLS has no part in the error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ssl.SSLCertVerificationError):
            return Rejected(f"{who}: {_unproven(error)}")
        if isinstance(error, ssl.SSLError):
            return _broken(error, tls, who)
        error = error.__cause__ or error.__context__
    return None


def _unproven(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in OTHER_NAME:
        return "its certificate is for another name; call it by that name, or set tls.check_host_name to false"
    if error.verify_code in {EXPIRED, NOT_YET}:
        return f"its certificate {'has expired' if error.verify_code == EXPIRED else 'is not valid yet'}"
    if error.verify_code in UNKNOWN_SIGNER:
        return "its certificate is signed by nobody whom we trust; see tls.ca_file"
    return f"its certificate is not trusted: {error.verify_message}"


def _broken(error: ssl.SSLError, tls: Tls | None, who: str) -> AppError:
    reason = (error.reason or "").upper()
    if any(word in reason for word in WANTS_OURS):
        return Rejected(f"{who}: it asks for a certificate of ours; give tls.certificate_file and tls.key_file")
    if any(word in reason for word in DOUBTS_OURS):
        return Rejected(f"{who}: it does not trust our certificate, tls.certificate_file")
    if "HANDSHAKE_FAILURE" in reason:
        words = (
            "it refuses our TLS; where it asks for a certificate of ours, give tls.certificate_file and tls.key_file"
        )
        return Rejected(f"{who}: {words}")
    if any(word in reason for word in TOO_OLD):
        return Rejected(f"{who}: it speaks no TLS 1.2 or later")
    if any(word in reason for word in NO_TLS):
        return Rejected(f"{who}: it does not speak TLS on this port")
    return Retryable(f"{who}: TLS was broken off; does it speak TLS there, and {about_ours(tls)}?")


def about_ours(tls: Tls | None) -> str:
    """What may be wrong with our side where a peer breaks off without a word."""
    given = tls is not None and tls.certificate_file is not None
    return "does it trust our certificate" if given else "does it ask for a certificate of ours"
