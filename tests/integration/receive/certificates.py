"""A hospital's certificates, made on the fly: its authority, our listener, its scanners, and strangers."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme


@dataclass(frozen=True)
class Pair:
    """Files of one party."""

    certificate: Path
    key: Path

    def settings(self) -> dict[str, Path]:
        """As the settings name them."""
        return {"certificate_file": self.certificate, "key_file": self.key}


@dataclass
class Hospital:
    """One authority that is trusted, and one that is not."""

    folder: Path
    key_type: trustme.KeyType = trustme.KeyType.ECDSA
    authority: trustme.CA = field(init=False)
    stranger: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = trustme.CA(key_type=self.key_type)
        self.authority.cert_pem.write_to_path(self.ca)

    @property
    def ca(self) -> Path:
        """The trusted authority, PEM."""
        return self.folder / "authority.pem"

    def issue(
        self,
        name: str,
        *,
        signed_by: trustme.CA | None = None,
        starts_days: float = -1,
        ends_days: float = 60,
        file: str = "",
    ) -> Pair:
        """Make a certificate for a DNS name, valid from and to so many days from now."""
        now = datetime.now(UTC)
        made = (signed_by or self.authority).issue_cert(
            name,
            not_before=now + timedelta(days=starts_days),
            not_after=now + timedelta(days=ends_days),
            key_type=self.key_type,
        )
        pair = Pair(self.folder / f"{file or name}.pem", self.folder / f"{file or name}.key")
        pair.certificate.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        made.private_key_pem.write_to_path(pair.key)
        return pair

    def listener(self, **changes: Any) -> dict[str, Any]:
        """The section `listener.tls`, with a certificate made for it."""
        pair = self.issue("vigil.hospital.example")
        return {**pair.settings(), "ca_file": self.ca, **changes}

    def client(self, pair: Pair | None) -> ssl.SSLContext:
        """What a scanner uses: any version and cipher that this OpenSSL has, to see what is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.ca)
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context
