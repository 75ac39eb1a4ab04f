"""Who speaks no DICOM to the DICOM port, or nothing at all: one line in the log, a number, and no harm to others."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app.receive.entity import AT_THE_DOOR, PATIENCE_S
from tests.integration.receive.conftest import Listen, associated
from tests.integration.receive.dcmtk import echo
from tests.integration.receive.tls_clients import counted

pytestmark = pytest.mark.debian

A_ABORT = b"\x07\0\0\0\0\x04"
GARBAGE = {
    "a request of four gigabytes": b"\x01\0\xff\xff\xff\xff" + b"A" * 1000,
    "no kind of PDU": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 40,
    "malformed requests": b"\x01\0\0\0\0\x04AAAA" * 100,
    "data without an association": b"\x04\0\0\0\0\x08\0\0\0\4\x01\3ab" * 100,
}
"""Of each more than 1 kB."""


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(count)]


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(4096):
            found += chunk
    return bytes(found)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
def test_garbage_is_aborted_once_and_told_in_a_line(listen: Listen, garbage: bytes) -> None:
    with capture_logs() as logs, listen() as running:
        with connected(running.port, 1) as (stranger,):
            stranger.sendall(garbage)
            began = time.monotonic()
            answer = everything(stranger)
            assert time.monotonic() - began < 15
        assert echo(running.port)
    assert answer[:6] == A_ABORT
    assert answer.count(A_ABORT) == len(answer) / 10, "and nothing else"
    assert [each["event"] for each in logs].count("protocol_error") == 1
    # Where pynetdicom cannot decode a PDU, it adds two lines of its own.
    assert sum(each["log_level"] == "warning" for each in logs) <= 4, logs


def test_garbage_is_counted_and_told_with_its_address_and_size(listen: Listen) -> None:
    garbage = GARBAGE["a request of four gigabytes"]
    with capture_logs() as logs, listen() as running, counted("protocol"), connected(running.port, 1) as (stranger,):
        stranger.sendall(garbage)
        assert everything(stranger) == A_ABORT + b"\0\0\0\0"
    (told,) = [each for each in logs if each["event"] == "protocol_error"]
    assert told["problem"] == "oversized PDU"
    assert told["peer"] == "127.0.0.1"
    assert told["discarded_bytes"] == len(garbage)


def test_who_goes_on_after_our_abort_is_cut_off(listen: Listen) -> None:
    with capture_logs() as logs, listen() as running, connected(running.port, 1) as (stranger,):
        stranger.sendall(b"\x09" * 6)
        deadline = time.monotonic() + 20
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012  the end comes in one of many calls
            while time.monotonic() < deadline:
                stranger.sendall(b"\x09" * 60)
                time.sleep(0.05)
    assert [each["event"] for each in logs].count("protocol_error") == 1


def test_nonsense_within_an_association_is_one_line(listen: Listen) -> None:
    with capture_logs() as logs, listen() as running:
        with associated(running.port) as association:
            association.dul.socket.socket.sendall(b"\x09\0\0\0\0\0" * 200)
            deadline = time.monotonic() + 20
            while not association.is_aborted:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert echo(running.port)
    assert [each["event"] for each in logs if each["log_level"] == "warning"].count("protocol_error") == 1


def test_a_sender_gets_in_beside_any_number_of_silent_connections(listen: Listen) -> None:
    with listen(max_associations=2) as running, connected(running.port, AT_THE_DOOR):
        assert echo(running.port) or time.sleep(PATIENCE_S) or echo(running.port), "the oldest makes room"
        for _ in range(5):
            assert echo(running.port)


def test_silent_connections_do_not_count_as_associations(listen: Listen) -> None:
    with (
        listen(max_associations=2) as running,
        connected(running.port, AT_THE_DOOR - 5),
        associated(running.port) as first,
        associated(running.port) as second,
    ):
        assert first.is_established
        assert second.is_established
        assert not echo(running.port), "the limit holds for those who asked"


def silent_ones() -> float:
    return REGISTRY.get_sample_value("vigil_associations_refused_total", {"reason": "silent"}) or 0.0


def test_a_silent_connection_ends_in_time_and_is_counted(listen: Listen) -> None:
    before = silent_ones()
    with listen(acse_timeout_s=1) as running, connected(running.port, 3) as silent:
        began = time.monotonic()
        assert [everything(each) for each in silent] == [b""] * 3
        assert 0.5 < time.monotonic() - began < 15
        while silent_ones() < before + 3:
            assert time.monotonic() - began < 20
            time.sleep(0.01)
    assert silent_ones() == before + 3


def test_a_knock_at_the_door_is_nothing(listen: Listen) -> None:
    """As load balancers do it."""
    before = silent_ones()
    with capture_logs() as logs, listen() as running, connected(running.port, 1) as (knock,):
        knock.shutdown(socket.SHUT_WR)
        assert everything(knock) == b""
    assert silent_ones() == before
    assert [
        each for each in logs if each["log_level"] == "warning" and each["event"] != "every_calling_ae_allowed"
    ] == []


def test_a_stop_beside_silent_connections_is_quiet(listen: Listen) -> None:
    with capture_logs() as logs, listen() as running, connected(running.port, 5):
        assert echo(running.port)
    assert [each for each in logs if each["log_level"] in {"warning", "error"}] == [
        each for each in logs if each["event"] == "every_calling_ae_allowed"
    ]
