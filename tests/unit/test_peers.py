"""Who may send: every objection, and none too many."""

from hashlib import sha256
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Rejected
from app.peers import HEALTH_AE, Objection, Peer, may_store, objection
from app.settings import load
from app.tls.certificates import Facts

DIGEST = "ab" * 32


def facts(*names: str, digest: str = "0" * 64) -> Facts:
    return Facts(0, 1, frozenset(names), digest)


def peer(**options: object) -> Peer:
    return Peer.model_validate({"ae_title": "CT1", **options})


BY_NAME = {"names": ["CT1.Hospital.Example"]}


@pytest.mark.parametrize(
    ("options", "calling", "address", "shown", "expected"),
    [
        ({}, "CT1", "10.0.0.1", None, None),
        ({}, "ct1", "10.0.0.1", None, Objection.CALLING_AE),
        ({}, "CT2", "10.0.0.1", None, Objection.CALLING_AE),
        ({}, "", "10.0.0.1", None, Objection.CALLING_AE),
        ({"addresses": ["10.0.0.1"]}, "CT1", "10.0.0.1", None, None),
        ({"addresses": ["10.0.0.1"]}, "CT1", "10.0.0.2", None, Objection.ADDRESS),
        ({"addresses": ["10.0.0.0/24", "fd00::/8"]}, "CT1", "10.0.0.200", None, None),
        ({"addresses": ["10.0.0.0/24", "fd00::/8"]}, "CT1", "fd12::1", None, None),
        ({"addresses": ["10.0.0.0/24"]}, "CT1", "::ffff:10.0.0.7", None, None),
        ({"addresses": ["10.0.0.0/24"]}, "CT1", "fd12::1", None, Objection.ADDRESS),
        ({"addresses": ["fe80::/10"]}, "CT1", "fe80::1%eth0", None, None),
        ({"addresses": ["10.0.0.0/24"]}, "CT1", "ward-7", None, Objection.ADDRESS),
        ({"certificate": BY_NAME}, "CT1", "10.0.0.1", None, Objection.CERTIFICATE),
        ({"certificate": BY_NAME}, "CT1", "10.0.0.1", facts("ct1.hospital.example"), None),
        ({"certificate": BY_NAME}, "CT1", "10.0.0.1", facts("*.hospital.example"), Objection.CERTIFICATE),
        ({"certificate": BY_NAME}, "CT1", "10.0.0.1", facts("ct2.hospital.example"), Objection.CERTIFICATE),
        ({"certificate": {"sha256": [DIGEST.upper()]}}, "CT1", "10.0.0.1", facts(digest=DIGEST), None),
        ({"certificate": {"sha256": [":".join(["AB"] * 32)]}}, "CT1", "10.0.0.1", facts(digest=DIGEST), None),
        ({"certificate": {"sha256": [DIGEST]}}, "CT1", "10.0.0.1", facts(), Objection.CERTIFICATE),
        ({"certificate": {"sha256": [DIGEST], **BY_NAME}}, "CT1", "10.0.0.1", facts("ct1.hospital.example"), None),
        ({"addresses": ["10.0.0.1"], "certificate": BY_NAME}, "CT1", "10.0.0.2", facts("ct1.hospital.example"), "a"),
    ],
)
def test_a_title_counts_only_from_its_place_and_with_its_certificate(
    options: dict[str, object], calling: str, address: str, shown: Facts | None, expected: Objection | str | None
) -> None:
    found = objection([peer(**options)], calling, address, shown)
    assert found is (Objection.ADDRESS if expected == "a" else expected)


def test_nobody_named_lets_everybody_in() -> None:
    assert objection([], "ANY", "10.0.0.1", None) is None


def test_our_health_check_comes_in_and_brings_nothing() -> None:
    assert objection([peer()], HEALTH_AE, "192.0.2.1", None) is None
    assert not may_store(HEALTH_AE)
    assert may_store("CT1")


@given(st.ip_addresses(), st.ip_addresses(v=4), st.integers(0, 32))
def test_an_address_is_within_its_network_alone(address: object, other: object, bits: int) -> None:
    network = ip_network(f"{other}/{bits}", strict=False)
    found = objection([peer(addresses=[str(network)])], "CT1", str(address), None)
    plain = ip_address(str(address))
    plain = getattr(plain, "ipv4_mapped", None) or plain
    assert (found is None) is (plain.version == 4 and plain in network)


@given(st.text(max_size=16), st.text(max_size=40))
def test_whatever_is_called_it_is_refused(calling: str, address: str) -> None:
    found = objection([peer(addresses=["10.0.0.1"])], calling, address, None)
    assert (found is None) is (calling == HEALTH_AE or (calling == "CT1" and address == "10.0.0.1"))


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        ({"allowed_calling_ae": ["CT1"]}, r"allowed_calling_ae is now peers, a list: `peers: \[{ae_title: CT1}"),
        ({"peers": [{"ae_title": "A"}, {"ae_title": "A"}]}, "'A' stands there twice"),
        ({"peers": [{"ae_title": HEALTH_AE}]}, "our own health check"),
        (
            {"peers": [{"ae_title": "A", "addresses": ["10.0.0.1/8"]}]},
            r"addresses\.0: '10\.0\.0\.1/8' is no address and no network; do you mean 10\.0\.0\.0/8\?",
        ),
        ({"peers": [{"ae_title": "A", "certificate": {}}]}, "certificate needs sha256 or names"),
        ({"peers": [{"ae_title": "A", "certificate": {"sha256": ["x"]}}]}, "64 hexadecimal digits"),
        ({"peers": [{"ae_title": "A", "certificate": {"names": ["a"]}}]}, r"set listener\.tls"),
        ({"peers": [{"ae_title": "A", "adresses": []}]}, "did you mean 'addresses'"),
        ({"tls": {"certificate_file": "c", "key_file": "k"}}, "client certificates need ca_file"),
        (
            {
                "tls": {"certificate_file": "c", "key_file": "k", "client_certificates": "none"},
                "peers": [{"ae_title": "A", "certificate": {"names": ["a"]}}],
            },
            "client_certificates required or optional",
        ),
    ],
)
def test_what_cannot_work_is_said(listener: dict[str, object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "vigil.yaml"
    path.write_text(yaml.safe_dump({"listener": listener}))
    with pytest.raises(Rejected, match=words):
        load(path, {})


def test_a_fingerprint_is_that_of_openssl(tmp_path: Path) -> None:
    import ssl
    import subprocess

    from app.tls.certificates import of_file
    from tests.integration.receive.certificates import Hospital

    pair = Hospital(tmp_path).issue("ct1.example")
    command = ["openssl", "x509", "-in", str(pair.certificate), "-noout", "-fingerprint", "-sha256"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = of_file(pair.certificate, "")
    (kept,) = peer(certificate={"sha256": [told.partition("=")[2].strip()]}).certificate.sha256  # type: ignore[union-attr]
    assert kept == found.sha256
    first = pair.certificate.read_text().partition("-----END CERTIFICATE-----")
    assert found.sha256 == sha256(ssl.PEM_cert_to_DER_cert(first[0] + first[1])).hexdigest()
    assert found.names == {"ct1.example"}
