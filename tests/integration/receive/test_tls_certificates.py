"""DICOM over TLS in the course of time: certificates are renewed, taken away, missing, near their end."""

import socket
import ssl
import time
from contextlib import closing

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app.errors import Rejected
from app.tls.certificates import DAY_S, of_file
from tests.integration.receive.certificates import Hospital
from tests.integration.receive.conftest import Listen
from tests.integration.receive.tls_clients import c_echo, counted


def test_a_renewed_certificate_counts_without_a_restart(listen: Listen, hospital: Hospital) -> None:
    pair = hospital.issue("ct1.example")
    tls = hospital.listener()

    def shown(port: int) -> str:
        with (
            closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as plain,
            hospital.client(pair).wrap_socket(plain, server_hostname="vigil") as secure,
        ):
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"")

    with listen(tls=tls) as running, capture_logs() as logs:
        before = shown(running.port)
        tls["key_file"].write_text("half of a renewal")
        assert shown(running.port) == before
        hospital.issue("vigil.hospital.example", ends_days=90)
        after = shown(running.port)
        gauge = REGISTRY.get_sample_value("vigil_certificate_expires_timestamp_seconds", {"use": "listener"})
    assert after != before
    assert [each["event"] for each in logs if each["event"].startswith("certificate_")] == [
        "certificate_not_renewed",
        "certificate_renewed",
    ]
    assert gauge == of_file(tls["certificate_file"], "").not_after
    assert abs(gauge - time.time() - 90 * DAY_S) < DAY_S


def test_an_authority_that_is_taken_away_is_trusted_no_more(listen: Listen, hospital: Hospital) -> None:
    pair = hospital.issue("ct1.example")
    tls = hospital.listener()
    context = hospital.client(pair)
    with listen(tls=tls) as running:
        assert c_echo(running.port, context)
        hospital.stranger.cert_pem.write_to_path(hospital.ca)
        with counted("tls_unknown_signer"):
            assert not c_echo(running.port, context)


@pytest.mark.parametrize("days", [20, -1])
def test_an_end_that_is_near_is_told(days: int, listen: Listen, hospital: Hospital) -> None:
    tls = hospital.listener()
    hospital.issue("vigil.hospital.example", starts_days=-90, ends_days=days + 0.5)
    context = hospital.client(hospital.issue("ct1.example"))
    with listen(tls=tls) as running, capture_logs() as logs:
        c_echo(running.port, context)
        c_echo(running.port, context)
    (told,) = [each for each in logs if each["event"] == "certificate_ends"]
    assert told["log_level"] == ("warning" if days > 0 else "error")
    assert f"expires in {days} days" in told["problem"] if days > 0 else "has expired" in told["problem"]


def test_missing_files_end_the_start_with_words(listen: Listen, hospital: Hospital) -> None:
    tls = hospital.listener()
    tls["key_file"].unlink()
    with pytest.raises(Rejected, match=r"listener: tls.certificate_file .*No such file"), listen(tls=tls):
        pass
