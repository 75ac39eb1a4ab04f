"""Settings of ports that speak TLS, and of peers that we call by TLS."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from bundles.common.strict import Strict


class KeyPair(Strict):
    """A certificate of ours and its key, PEM without a password; the certificates that signed it follow it in its file.

    Both are read again when they change.
    """

    certificate_file: Path
    key_file: Path


class Tls(Strict):
    """TLS to a peer.

    Attributes:
        ca_file: PEM of who may sign the peer's certificate; None trusts what the system trusts.
        certificate_file, key_file: PEM of our own, where the peer asks for one; both or neither.
        check_host_name: Whether the peer's certificate has to name the host that we called.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    check_host_name: bool = True

    @property
    def pair(self) -> KeyPair | None:
        """Our own certificate, where there is one."""
        if self.certificate_file is None or self.key_file is None:
            return None
        return KeyPair(certificate_file=self.certificate_file, key_file=self.key_file)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; give both or neither")
        return self


class ClientCertificates(StrEnum):
    """Whether who calls us has to prove who it is."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


class ListenerTls(KeyPair):
    """DICOM over TLS: the port then speaks nothing else.

    Attributes:
        client_certificates: Of scanners. `optional` takes those without one, but no wrong one.
        ca_file: PEM of who may sign them; needed unless they are `none`.
        handshake_s: A caller gets so long to shake hands.
        knock: The certificate with which our own health check calls; None: that of the listener itself.
    """

    client_certificates: ClientCertificates = ClientCertificates.REQUIRED
    ca_file: Path | None = None
    handshake_s: float = Field(10, gt=0)
    knock: KeyPair | None = None

    @model_validator(mode="after")
    def _authorities(self) -> Self:
        if self.client_certificates is not ClientCertificates.NONE and self.ca_file is None:
            raise ValueError(
                "client certificates need ca_file, the PEM of who signs them; or set client_certificates to none"
            )
        return self
