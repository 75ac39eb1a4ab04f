"""Who may send: an AE title counts only from its addresses, and with its certificate where TLS proves one."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from app.destinations import AeTitle
from app.tls.certificates import Facts
from bundles.common.strict import Strict

HEALTH_AE: Final = "VIGIL-HEALTH"
"""As whom our own health check calls. Anybody may: it can ask for C-ECHO, and brings nothing in."""


def _network(value: object) -> object:
    try:
        return ip_network(str(value), strict=True)
    except ValueError:
        pass
    try:
        meant = f"; do you mean {ip_network(str(value), strict=False)}?"
    except ValueError:
        meant = "; write 10.1.2.3, 10.1.0.0/16 or fd00::/8"
    raise ValueError(f"'{value}' is no address and no network{meant}")


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").replace(" ", "").lower()
    if len(digits) != 64 or any(letter not in "0123456789abcdef" for letter in digits):
        raise ValueError(
            "a SHA-256 fingerprint has 64 hexadecimal digits: openssl x509 -in FILE -noout -fingerprint -sha256"
        )
    return digits


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Name = Annotated[str, Field(min_length=1), AfterValidator(str.lower)]


class PeerCertificate(Strict):
    """By which certificate a peer is known; one match is enough.

    Attributes:
        sha256: Fingerprints of certificates; two while one is being renewed.
        names: DNS names of the Subject Alternative Name (the common name where it has none), without wildcards.
    """

    sha256: tuple[Fingerprint, ...] = ()
    names: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if not self.sha256 and not self.names:
            raise ValueError("certificate needs sha256 or names")
        return self

    def fits(self, facts: Facts | None) -> bool:
        """Whether that is it; None is no certificate."""
        return facts is not None and (facts.sha256 in self.sha256 or not facts.names.isdisjoint(self.names))


class Peer(Strict):
    """One application that may send.

    Attributes:
        ae_title: Its calling AE title.
        addresses: From where: addresses or networks ("10.1.2.3", "10.1.0.0/16", "fd00::/8"); empty is from anywhere.
        certificate: By which it is known; None asks for no particular one.
    """

    ae_title: AeTitle
    addresses: tuple[Network, ...] = ()
    certificate: PeerCertificate | None = None


class Objection(StrEnum):
    """Why an association is refused; labels the metric."""

    CALLING_AE = "calling_ae"
    ADDRESS = "peer_address"
    CERTIFICATE = "peer_certificate"


def check_names(peers: Sequence[Peer]) -> None:
    """Raise ValueError where an AE title stands twice."""
    twice = [title for title, count in Counter(peer.ae_title.strip() for peer in peers).items() if count > 1]
    if twice:
        raise ValueError(f"peers: '{twice[0]}' stands there twice; give one entry all its addresses and certificates")
    if any(peer.ae_title.strip() == HEALTH_AE for peer in peers):
        raise ValueError(
            f"peers: '{HEALTH_AE}' is our own health check, which needs no entry; name the sender otherwise"
        )


def objection(peers: Sequence[Peer], calling_ae: str, address: str, facts: Facts | None) -> Objection | None:
    """Say what can be said against an association.

    Args:
        peers: Who may send; nobody named lets everybody in.
        calling_ae: As the caller names itself, without padding.
        address: From where it calls.
        facts: Of the certificate that it has proven to own; None is none.
    """
    if not peers or calling_ae == HEALTH_AE:
        return None
    peer = next((each for each in peers if each.ae_title.strip() == calling_ae), None)
    if peer is None:
        return Objection.CALLING_AE
    if peer.addresses and not _within(address, peer.addresses):
        return Objection.ADDRESS
    if peer.certificate is not None and not peer.certificate.fits(facts):
        return Objection.CERTIFICATE
    return None


def may_store(calling_ae: str) -> bool:
    """Whether a caller that was let in may bring images."""
    return calling_ae != HEALTH_AE


def _within(text: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        address = plain_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks if network.version == address.version)


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """Read an address; of an IPv4 one that came to an IPv6 port, the IPv4 address.

    Raises:
        ValueError: It is none.
    """
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
