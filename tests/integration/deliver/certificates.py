"""Certificates of the tests, made on the fly, and the TLS settings of both sides."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from app.tls.settings import Tls


@dataclass
class Certificates:
    """One authority that both sides trust, and one that nobody does."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)
    stranger: trustme.CA = field(default_factory=trustme.CA)

    def server(
        self,
        *,
        name: str = "127.0.0.1",
        signed_by: trustme.CA | None = None,
        days_left: float = 30,
        asks_for_ours: bool = False,
    ) -> ssl.SSLContext:
        """The context of a peer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        now = datetime.now(UTC)
        certificate = (signed_by or self.authority).issue_cert(
            name, not_before=now - timedelta(days=60), not_after=now + timedelta(days=days_left)
        )
        certificate.configure_cert(context)
        if asks_for_ours:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def trusted(self, **changes: object) -> Tls:
        """Settings of ours that trust the authority."""
        path = self.folder / "authority.pem"
        self.authority.cert_pem.write_to_path(path)
        return Tls.model_validate({"ca_file": path, **changes})

    def with_ours(self, signed_by: trustme.CA | None = None) -> Tls:
        """Settings with a certificate of ours."""
        certificate = (signed_by or self.authority).issue_cert("vigil.example.org")
        chain, key = self.folder / "ours.pem", self.folder / "ours.key"
        chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return self.trusted(certificate_file=chain, key_file=key)
