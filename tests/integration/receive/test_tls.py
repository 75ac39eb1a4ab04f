"""DICOM over TLS: who comes through, who does not, and what is said of it."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification
from structlog.testing import capture_logs

from app.deliver import send_folder
from app.peers import HEALTH_AE
from app.receive import handshakes
from app.settings import Settings
from app.tls.profile import CIPHERS_1_2, CIPHERS_1_3
from app.tls.settings import Tls
from app.web.health import listener as ask_listener
from tests.integration.receive.certificates import Hospital, Pair
from tests.integration.receive.conftest import Listen, Running
from tests.integration.receive.dcmtk import echo, send
from tests.integration.receive.tls_clients import c_echo, counted, rejected
from tests.unit.receive.objects import make_object, to_file

NEWEST = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def shakes(port: int, context: ssl.SSLContext) -> tuple[str, str] | None:
    """(version, cipher) of a connection that lives on after its handshake; None where there is none."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="vigil") as secure:
                secure.settimeout(0.3)
                try:
                    if secure.recv(1) == b"":
                        return None
                except TimeoutError:
                    pass
                chosen = secure.cipher()
                assert chosen is not None
                return str(secure.version()), chosen[0]
        except OSError:
            return None


@pytest.mark.parametrize("newest", NEWEST)
def test_the_right_certificate_is_let_in(newest: ssl.TLSVersion, listen: Listen, hospital: Hospital) -> None:
    context = hospital.client(hospital.issue("ct1.example"))
    context.maximum_version = newest
    with listen(tls=hospital.listener()) as running:
        assert c_echo(running.port, context)


WRONG: dict[str, tuple[str, Callable[[Hospital], Pair | None]]] = {
    "none": ("tls_no_certificate", lambda _: None),
    "another authority": ("tls_unknown_signer", lambda h: h.issue("ct1.example", signed_by=h.stranger)),
    "expired": ("tls_expired", lambda h: h.issue("ct1.example", starts_days=-60, ends_days=-0.01)),
    "not yet valid": ("tls_not_yet_valid", lambda h: h.issue("ct1.example", starts_days=0.01)),
}


@pytest.mark.parametrize("newest", NEWEST)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_certificate_is_refused_and_named(
    wrong: str, newest: ssl.TLSVersion, listen: Listen, hospital: Hospital
) -> None:
    reason, make = WRONG[wrong]
    context = hospital.client(make(hospital))
    context.maximum_version = newest
    with listen(tls=hospital.listener()) as running, capture_logs() as logs:
        with counted(reason):
            assert not c_echo(running.port, context)
        assert running.stored() == []
    (told,) = [each for each in logs if each["event"] == "association_rejected"]
    assert (told["reason"], told["log_level"], told["peer"]) == (reason, "warning", "127.0.0.1")
    assert told["hint"]


@pytest.mark.parametrize(
    ("wanted", "shown", "comes_in"),
    [
        ("optional", "none", True),
        ("optional", "right", True),
        ("optional", "another authority", False),
        ("none", "none", True),
        ("none", "another authority", True),
    ],
)
def test_certificates_may_be_optional(
    wanted: str, shown: str, comes_in: bool, listen: Listen, hospital: Hospital
) -> None:
    pair = hospital.issue("ct1.example") if shown == "right" else WRONG[shown][1](hospital)
    with listen(tls=hospital.listener(client_certificates=wanted)) as running:
        assert c_echo(running.port, hospital.client(pair)) is comes_in


def test_plain_dicom_is_refused_at_once(listen: Listen, hospital: Hospital) -> None:
    with listen(tls=hospital.listener()) as running, counted("tls_plain"):
        started = time.monotonic()
        assert not echo(running.port)
        assert time.monotonic() - started < 5


def test_a_connection_that_is_closed_unused_is_no_event(listen: Listen, hospital: Hospital) -> None:
    with listen(tls=hospital.listener()) as running, capture_logs() as logs:
        socket.create_connection(("127.0.0.1", running.port)).close()
        time.sleep(0.3)
    assert [each["event"] for each in logs if each["log_level"] in {"warning", "error"}] == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_what_is_accepted_is_what_the_profile_says(kind: str, listen: Listen, tmp_path: Path) -> None:
    """Every version with every cipher that this OpenSSL has, each alone: the accepted set is the stated one."""
    import trustme

    hospital = Hospital(tmp_path / kind, trustme.KeyType[kind])
    pair = hospital.issue("ct1.example")
    ours = ssl.create_default_context()
    ours.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    old = [each["name"] for each in ours.get_ciphers() if each["protocol"] != "TLSv1.3"]
    assert len(old) > 100
    accepted = set()
    with listen(tls=hospital.listener(), max_associations=500) as running:
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
            for name in old:
                context = hospital.client(pair)
                try:
                    context.set_ciphers(f"{name}:@SECLEVEL=0")
                    context.minimum_version = context.maximum_version = version
                except ssl.SSLError:
                    continue
                accepted.add(shakes(running.port, context))
        context = hospital.client(pair)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        modern = shakes(running.port, context)
    stated = {("TLSv1.2", name) for name in CIPHERS_1_2 if kind in name}
    assert accepted - {None} == stated
    assert modern is not None
    assert (modern[0], modern[1] in CIPHERS_1_3) == ("TLSv1.3", True)


@pytest.mark.debian
def test_each_cipher_of_tls_1_3_is_accepted(listen: Listen, hospital: Hospital) -> None:
    """By openssl: Python cannot choose among them."""
    import subprocess

    pair = hospital.issue("ct1.example")
    with listen(tls=hospital.listener()) as running:
        for name in (*CIPHERS_1_3, "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"):
            command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-tls1_3", "-ciphersuites", name]
            files = ["-CAfile", hospital.ca, "-cert", pair.certificate, "-key", pair.key, "-verify_return_error"]
            done = subprocess.run([*command, *map(str, files)], input=b"", capture_output=True, timeout=30, check=False)
            assert (f"Cipher is {name}" in done.stdout.decode()) is (name in CIPHERS_1_3), done.stdout[-2000:]


@pytest.mark.debian
def test_storescu_sends_by_tls_what_arrives_byte_by_byte(listen: Listen, hospital: Hospital) -> None:
    pair = hospital.issue("ct1.example")
    paths = [Path(str(get_testdata_file(name, download=False))) for name in ("CT_small.dcm", "MR_small.dcm")]
    options = ["+tls", str(pair.key), str(pair.certificate), "+cf", str(hospital.ca)]
    with listen(tls=hospital.listener()) as running:
        sent = send(running.port, paths, calling_ae="CT1", options=options)
        assert (sent.code, sent.statuses) == (0, (0, 0)), sent.log[-3000:]
        stored = {dcmread(file).SOPInstanceUID: dcmread(file) for file in running.stored()}
    for path in paths:
        source = dcmread(path)
        assert stored[source.SOPInstanceUID].PixelData == source.PixelData
        assert stored[source.SOPInstanceUID].file_meta.SourceApplicationEntityTitle == "CT1"


@pytest.mark.debian
def test_storescu_without_a_certificate_brings_nothing(listen: Listen, hospital: Hospital, image: Path) -> None:
    with listen(tls=hospital.listener()) as running, counted("tls_no_certificate"):
        sent = send(running.port, [image], options=["+tla", "+cf", str(hospital.ca)])
        assert sent.code != 0
        assert running.stored() == []


@pytest.mark.parametrize("newest", NEWEST)
def test_large_images_arrive_byte_by_byte(
    newest: ssl.TLSVersion, listen: Listen, hospital: Hospital, tmp_path: Path
) -> None:
    """Sent by many records of TLS in PDUs of several sizes, with more associations at once than one."""
    context = hospital.client(hospital.issue("ct1.example"))
    context.maximum_version = newest
    pixels = bytes(range(256)) * 8192
    made = make_object("1.2.3", "1.2.4", PixelData=pixels, Rows=1024, Columns=1024, BitsAllocated=16)
    made.BitsStored, made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 16, 15, 0, 1
    sources = []
    for number in range(4):
        made.SOPInstanceUID = f"1.2.4.{number}"
        sources.append(tmp_path / f"{number}.dcm")
        sources[-1].write_bytes(to_file(made))
    statuses: list[int] = []

    def bring(path: Path, max_pdu: int) -> None:
        entity = AE("CT1")
        association = entity.associate(
            "127.0.0.1",
            running.port,
            [build_context(CTImageStorage, ExplicitVRLittleEndian)],
            ae_title="VIGIL",
            max_pdu=max_pdu,
            tls_args=(context, "vigil"),
        )
        statuses.append(association.send_c_store(path).Status)
        association.release()

    with listen(tls=hospital.listener(), max_pdu=0) as running:
        threads = [
            threading.Thread(target=bring, args=(path, size))
            for path, size in zip(sources, (0, 1000, 16382, 131072), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert statuses == [0] * 4
        stored = running.stored()
        assert len(stored) == 4
        assert {dcmread(path).PixelData for path in stored} == {pixels}


def test_our_own_sender_speaks_tls(listen: Listen, hospital: Hospital, image: Path) -> None:
    pair = hospital.issue("ct1.example")
    tls = Tls(ca_file=hospital.ca, check_host_name=False, **pair.settings())
    with listen(tls=hospital.listener()) as running:
        (sent,) = send_folder([image], "127.0.0.1", running.port, "VIGIL", "CT1", tls=tls)
        assert sent.delivered, sent.detail
        (refused,) = send_folder([image], "127.0.0.1", running.port, "VIGIL", "CT1", timeout_s=5)
        assert not refused.delivered
        strange = Tls(ca_file=hospital.ca, check_host_name=True)
        (doubted,) = send_folder([image], "127.0.0.1", running.port, "VIGIL", "CT1", tls=strange)
        assert "its certificate is for another name" in doubted.detail


def settings_of(running: Running, hospital: Hospital, tls: dict[str, Any], peers: list[dict[str, Any]]) -> Settings:
    return Settings.model_validate(
        {"listener": {"host": "127.0.0.1", "port": running.port, "tls": tls, "peers": peers}}
    )


@pytest.mark.parametrize("wanted", ["required", "optional", "none"])
@pytest.mark.parametrize("own", [False, True])
def test_our_health_check_comes_through(wanted: str, own: bool, listen: Listen, hospital: Hospital) -> None:
    """With the certificate of the listener or one of its own; and where peers are named it needs no entry."""
    tls = hospital.listener(client_certificates=wanted)
    if own:
        tls["knock"] = hospital.issue("health.hospital.example").settings()
    peers = [{"ae_title": "CT1", "certificate": {"names": ["ct1.example"]}}] if wanted != "none" else []
    with listen(tls=tls, peers=peers) as running:
        part = ask_listener(settings_of(running, hospital, tls, peers))
    assert (part.ok, part.detail) == (True, f"answers C-ECHO over TLS on port {running.port}")


def test_as_our_health_check_nobody_brings_images(listen: Listen, hospital: Hospital, image: Path) -> None:
    pair = hospital.issue("ct1.example")
    tls = Tls(ca_file=hospital.ca, check_host_name=False, **pair.settings())
    with listen(tls=hospital.listener(), peers=[{"ae_title": "CT1"}]) as running, counted("not_authorized"):
        (sent,) = send_folder([image], "127.0.0.1", running.port, "VIGIL", HEALTH_AE, tls=tls)
        assert (sent.delivered, running.stored(), running.half_received()) == (False, [], [])
        assert "0x0124" in sent.detail


def test_silent_callers_keep_nobody_out(listen: Listen, hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "AT_ONCE_FROM_ONE", 4)
    context = hospital.client(hospital.issue("ct1.example"))
    with listen(tls=hospital.listener(handshake_s=2)) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(3)]
        silent[0].sendall(b"\x16\x03\x01")  # a handshake that stops after three bytes
        started = time.monotonic()
        assert c_echo(running.port, context)
        assert time.monotonic() - started < 2
        with counted("tls_too_many"):
            silent += [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
            time.sleep(0.2)
        timeouts = rejected("tls_timeout")
        for each in silent:
            each.settimeout(20)
            assert each.recv(1) == b""
            each.close()
        assert rejected("tls_timeout") >= timeouts
        assert c_echo(running.port, context)


def test_several_processes_speak_tls(hospital: Hospital, tmp_path: Path) -> None:
    from tests.integration.receive.dcmtk import listener

    tls = {name: str(value) for name, value in hospital.listener().items()}
    context = hospital.client(hospital.issue("ct1.example"))
    with listener(tmp_path / "two", processes=2, tls=tls) as running:
        deadline = time.monotonic() + 60
        while not c_echo(running.port, context):
            assert time.monotonic() < deadline
        assert all(c_echo(running.port, context) for _ in range(4))
        assert running.terminate() == 0


PEERS = [
    {"ae_title": "CT1", "addresses": ["127.0.0.0/8"], "certificate": {"names": ["ct1.example"]}},
    {"ae_title": "MR1", "addresses": ["192.0.2.0/24"]},
    {"ae_title": "CR1"},
]


@pytest.mark.parametrize(
    ("calling_ae", "name", "reason"),
    [
        ("CT1", "ct1.example", ""),
        ("CT1", "cr1.example", "peer_certificate"),
        ("MR1", "mr1.example", "peer_address"),
        ("CR1", "ct1.example", ""),
        ("XX1", "ct1.example", "calling_ae"),
    ],
)
def test_a_title_needs_its_address_and_its_certificate(
    calling_ae: str, name: str, reason: str, listen: Listen, hospital: Hospital
) -> None:
    """Whoever is refused is told the same, whatever was wrong: rejected for good, calling AE title not recognized."""
    context = hospital.client(hospital.issue(name))
    with listen(tls=hospital.listener(), peers=PEERS) as running:
        if not reason:
            assert c_echo(running.port, context, calling_ae)
            return
        with counted(reason):
            association = AE(calling_ae).associate(
                "127.0.0.1", running.port, [build_context(Verification)], ae_title="VIGIL", tls_args=(context, "vigil")
            )
        assert association.is_rejected
        answer = association.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
