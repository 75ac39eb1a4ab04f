"""What a certificate says: for how long, for whom, and its fingerprint (RFC 5280).

Settings know this module: neither cryptography nor prometheus_client is loaded with it.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.errors import Rejected

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

DAY_S: Final = 86_400
WARN_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a certificate matters here.

    Attributes:
        not_before, not_after: Unix time, seconds.
        names: DNS names of the Subject Alternative Name, in small letters; the common name where it has none.
        sha256: Fingerprint of the DER, in small hexadecimal digits.
    """

    not_before: float
    not_after: float
    names: frozenset[str]
    sha256: str

    def warning(self, now: float | None = None) -> str:
        """What is to be said about its time, in words; "" where it is valid for longer than a month."""
        now = time.time() if now is None else now
        until = f"{datetime.fromtimestamp(self.not_after, UTC):%Y-%m-%d %H:%M} UTC"
        if now < self.not_before:
            return f"is not valid before {datetime.fromtimestamp(self.not_before, UTC):%Y-%m-%d %H:%M} UTC"
        if now >= self.not_after:
            return f"has expired, {until}; renew it (docs/runbook/certificates.md)"
        if self.not_after - now < WARN_DAYS * DAY_S:
            days = int((self.not_after - now) // DAY_S)
            return f"expires in {days} days, {until}; renew it (docs/runbook/certificates.md)"
        return ""

    def expired(self, now: float | None = None) -> bool:
        """Whether nobody will take it any more."""
        return (time.time() if now is None else now) >= self.not_after


def of_der(der: bytes) -> Facts:
    """Read a certificate.

    Raises:
        ValueError: It is none.
    """
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    return Facts(
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        _names(certificate),
        sha256(der).hexdigest(),
    )


def of_file(path: Path, who: str) -> Facts:
    """Read the first certificate of a PEM file.

    Raises:
        Rejected: The file is missing, or holds none.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise Rejected(f"{who}: tls.certificate_file {path}: {error.strerror}") from error
    except ValueError as error:
        raise Rejected(f"{who}: tls.certificate_file {path}: no certificate in PEM") from error
    return of_der(certificate.public_bytes(Encoding.DER))


def _names(certificate: "Certificate") -> frozenset[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        names: list[str] = []
    else:
        names = extension.value.get_values_for_type(x509.DNSName)
    if not names:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(each.value) for each in common]
    return frozenset(name.lower() for name in names)
