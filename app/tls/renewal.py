"""Contexts of our ports that follow their files: a renewed certificate counts from the next connection on."""

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Gauge

from app.errors import Rejected
from app.tls import certificates
from app.tls.certificates import Facts
from app.tls.profile import load_authorities, load_pair, server_context
from app.tls.settings import ClientCertificates, KeyPair, ListenerTls

WARN_EVERY_S: Final = 86_400.0
EXPIRES: Final = Gauge(
    "vigil_certificate_expires_timestamp_seconds",
    "When a certificate of ours ends to be valid, Unix time",
    ["use"],
    multiprocess_mode="mostrecent",
)

_Stamp = tuple[tuple[int, int, int] | None, ...]
_VERIFY: Final = {
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.NONE: ssl.CERT_NONE,
}

_log = structlog.get_logger()


def listener_context(tls: ListenerTls) -> ssl.SSLContext:
    """Make the context of the DICOM port; see `app.tls.profile`.

    Raises:
        Rejected: A file is missing, or is no PEM of what it should be.
    """
    context = server_context(tls, "listener")
    if tls.client_certificates is not ClientCertificates.NONE:
        load_authorities(context, tls.ca_file, "listener")
        context.verify_mode = _VERIFY[tls.client_certificates]
    return context


class Watched:
    """Certificate files that are watched for changes, with the gauge and the warnings of their time.

    Args:
        use: Label of the gauge: "listener", "web".
        pair: Whose time is told.
        files: All that matter.
        load: Called with every change; what it raises leaves in force what was.
    """

    def __init__(self, use: str, pair: KeyPair, files: Sequence[Path], load: Callable[[], None]) -> None:
        self._use, self._pair, self._files, self._load = use, pair, files, load
        self._lock = threading.Lock()
        self._stamp = _stamp(files)
        self._warned_at: float | None = None
        self._problem = ""
        load()
        self._facts = self._read()

    def look(self) -> None:
        """Load what has changed, and warn once a day of a certificate that ends soon. Cheap."""
        with self._lock:
            stamp = _stamp(self._files)
            # What could not be read is tried again: a mode that was mended changes neither time nor size.
            if stamp != self._stamp or self._problem:
                self._stamp = stamp
                self._renew()
            self._warn()

    def _renew(self) -> None:
        try:
            self._load()
            self._facts = self._read()
        except Rejected as error:
            # Half of a renewal may be seen: the other file changes too, and is looked at then.
            if str(error) != self._problem:
                hint = "the pair before stays in use; a start anew would fail until this is mended"
                _log.error("certificate_not_renewed", use=self._use, reason=str(error), hint=hint)
            self._problem = str(error)
        else:
            self._warned_at, self._problem = None, ""
            _log.info("certificate_renewed", use=self._use, sha256=self._facts.sha256)

    def _read(self) -> Facts:
        facts = certificates.of_file(self._pair.certificate_file, self._use)
        EXPIRES.labels(self._use).set(facts.not_after)
        return facts

    def _warn(self) -> None:
        warning = self._facts.warning()
        if warning and (self._warned_at is None or time.monotonic() - self._warned_at > WARN_EVERY_S):
            self._warned_at = time.monotonic()
            tell = _log.error if self._facts.expired() else _log.warning
            tell("certificate_ends", use=self._use, problem=f"the certificate {warning}")


class ListenerContext:
    """The context of the DICOM port. A new one is made of changed files, so that no old authority stays trusted.

    Raises:
        Rejected: A file is missing, or is no PEM of what it should be.
    """

    def __init__(self, tls: ListenerTls) -> None:
        self._tls = tls
        files = [tls.certificate_file, tls.key_file, *([] if tls.ca_file is None else [tls.ca_file])]
        self._watched = Watched("listener", tls, files, self._make)

    def current(self) -> ssl.SSLContext:
        """What the next connection is to use."""
        self.look()
        return self._context

    def look(self) -> None:
        """Load what was renewed, and warn of an end that is near."""
        self._watched.look()

    def _make(self) -> None:
        self._context = listener_context(self._tls)


class WebContext:
    """The context of the HTTP port, the same object for its whole life: a server takes only one.

    Attributes:
        context: What the server uses.

    Raises:
        Rejected: A file is missing, or is no PEM of what it should be.
    """

    def __init__(self, pair: KeyPair) -> None:
        self._pair = pair
        self.context = server_context(pair, "http")
        self._watched = Watched("web", pair, [pair.certificate_file, pair.key_file], self._load)

    def look(self) -> None:
        """Load a renewed certificate; to be called now and then."""
        self._watched.look()

    def _load(self) -> None:
        # Tried on another one first: a pair that does not match would leave this one without any.
        server_context(self._pair, "http")
        load_pair(self.context, self._pair, "http")


def _stamp(files: Sequence[Path]) -> _Stamp:
    return tuple(_stamp_of(path) for path in files)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
