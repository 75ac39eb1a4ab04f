"""HL7 v2 over MLLP: acknowledged messages, and peers that answer late, oddly, in pieces or not at all."""

import ssl
from collections.abc import Callable
from pathlib import Path

import hl7
import pytest
from structlog.testing import capture_logs

from app.deliver import deliver, echo
from app.destinations import Hl7Destination
from app.documents import Document, DocumentKind
from app.errors import AppError, Rejected, Retryable
from app.report import encode
from tests.integration.deliver.certificates import Certificates
from tests.integration.deliver.listeners import Script, mllp_peer, silent_peer, web_peer
from tests.unit.report.factory import MADE_AT, make_report, make_study

SECRET = "DOE^JANE"


def frame(content: bytes) -> bytes:
    return b"\x0b" + content + b"\x1c\r"


def acknowledged(message: bytes, code: str = "AA", errors: str = "") -> bytes:
    """An ACK as the independent library makes it."""
    text = str(hl7.parse(message.decode()).create_ack(code))
    return (text.rstrip("\r") + f"\r{errors}" * bool(errors) + "\r").encode()


def answers(code: str = "AA", errors: str = "") -> Script:
    return lambda message: [frame(acknowledged(message, code, errors))]


def interface(port: int, **changes: object) -> Hl7Destination:
    values = {"kind": "hl7", "name": "his", "host": "127.0.0.1", "port": port, "timeout_s": 1}
    return Hl7Destination.model_validate(values | changes)


@pytest.fixture
def message(tmp_path: Path) -> Document:
    made = encode(
        make_report(),
        make_study(tmp_path / "study"),
        tmp_path / "results",
        made_at=MADE_AT,
        kinds={DocumentKind.HL7},
    )
    return next(document for document in made if document.kind is DocumentKind.HL7)


@pytest.mark.parametrize(("code", "words"), [("AA", "AA accepted"), ("CA", "CA commit accepted")])
def test_an_accepted_message_is_delivered(code: str, words: str, message: Document) -> None:
    with mllp_peer(answers(code)) as heard:
        receipt = deliver(message, interface(heard.port))
    assert (receipt.delivered, receipt.detail) == (True, words)
    assert heard.messages == [message.path.read_bytes()]
    assert str(hl7.parse(heard.messages[0].decode()).segment("MSH")[9]).startswith("ORU^R01")


REFUSED = {
    "error": ("AE", "", Retryable, "his: AE application error"),
    "error of the message": (
        "AE",
        "ERR||PID^1^3|101^Required^HL70357|E",
        Rejected,
        "AE application error: 101 required",
    ),
    "error, locked": ("AE", "ERR|||206|E", Retryable, "AE application error: 206 application record locked"),
    "error, inside": ("AE", "ERR|||207^x|E", Retryable, "AE application error: 207 application internal error"),
    "two errors": ("AE", "ERR|||207|E\rERR|||102|E", Rejected, "207 application internal error, 102 data type error"),
    "old form": ("AE", "ERR|PID^1^3^101&Required&HL70357", Rejected, "AE application error: 101 required field"),
    "unknown number": ("AE", f"ERR|||999^{SECRET}|E", Retryable, "his: AE application error"),
    "reject": ("AR", "", Retryable, "his: AR application reject"),
    "reject of the version": ("AR", "ERR|||203|E", Rejected, "AR application reject: 203 unsupported version ID"),
    "commit error": ("CE", "", Retryable, "his: CE commit error"),
    "commit reject": ("CR", "", Rejected, "his: CR commit reject"),
    "commit reject, inside": ("CR", "ERR|||207|E", Rejected, "CR commit reject: 207"),
    "no known code": ("XX", "", Rejected, "his: an acknowledgement of no known code"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_message_is_no_delivery(case: str, message: Document) -> None:
    code, errors, kind, words = REFUSED[case]
    with mllp_peer(answers(code, errors)) as heard, pytest.raises(AppError) as caught:
        deliver(message, interface(heard.port))
    assert (caught.type, words in str(caught.value)) == (kind, True), caught.value
    assert SECRET not in str(caught.value)


def in_pieces(message: bytes) -> list[bytes | float]:
    whole = frame(acknowledged(message))
    return [part for byte in whole for part in (bytes([byte]), 0.001)]


ODD_BUT_RIGHT: dict[str, Script] = {
    "in pieces": in_pieces,
    "late": lambda message: [0.5, frame(acknowledged(message))],
    "after one for another": lambda message: [
        frame(acknowledged(message).replace(_control_id(message), b"another")),
        frame(acknowledged(message)),
    ],
    "both in one packet": lambda message: [
        frame(acknowledged(message).replace(_control_id(message), b"another")) + frame(acknowledged(message))
    ],
    "after a line feed": lambda message: [b"\r\n" + frame(acknowledged(message))],
    "with line feeds": lambda message: [frame(acknowledged(message).replace(b"\r", b"\r\n"))],
    "other separators": lambda message: [frame(b"MSH$%~\\&$a$b\rMSA$AA$" + _control_id(message) + b"\r")],
}


@pytest.mark.parametrize("case", ODD_BUT_RIGHT)
def test_an_odd_answer_is_understood(case: str, message: Document) -> None:
    with mllp_peer(ODD_BUT_RIGHT[case]) as heard:
        assert deliver(message, interface(heard.port, timeout_s=3)).delivered


WRONG: dict[str, tuple[Script, type[AppError], str]] = {
    "silence": (lambda _: [5.0], Retryable, "no acknowledgement within 1 s"),
    "closed": (lambda _: [], Retryable, "it closed the connection without an acknowledgement"),
    "half an answer": (
        lambda message: [frame(acknowledged(message))[:20], 5.0],
        Retryable,
        "no acknowledgement within 1 s",
    ),
    "half an answer, closed": (lambda message: [frame(acknowledged(message))[:20]], Retryable, "closed the connection"),
    "for another": (
        lambda message: [frame(acknowledged(message).replace(_control_id(message), b"another"))],
        Retryable,
        "without an acknowledgement; 1 for other messages than ours (MSA-2)",
    ),
    "garbage": (lambda _: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], Rejected, "is this the port of an HL7 interface?"),
    "no message": (lambda _: [frame(b"hello")], Rejected, "its answer is no HL7 acknowledgement"),
    "no MSA": (lambda _: [frame(b"MSH|^~\\&|a\rPID|1\r")], Rejected, "its answer is no HL7 acknowledgement"),
    "empty": (lambda _: [frame(b"")], Rejected, "its answer is no HL7 acknowledgement"),
    "endless": (lambda _: [b"\x0b", *[b"x" * 65_536] * 20, 5.0], Rejected, "its answer is longer than 1 MiB"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_acknowledgement_is_no_delivery(case: str, message: Document) -> None:
    script, kind, words = WRONG[case]
    with mllp_peer(script) as heard, capture_logs() as logs, pytest.raises(AppError) as caught:
        deliver(message, interface(heard.port))
    assert (caught.type, words in str(caught.value), logs) == (kind, True, []), caught.value


def _control_id(message: bytes) -> bytes:
    return str(hl7.parse(message.decode()).segment("MSH")[10]).encode()


def test_nobody_listens(message: Document, free_port: int) -> None:
    for attempt in (lambda peer: deliver(message, peer), echo):
        with pytest.raises(Retryable, match=rf"his: 127.0.0.1:{free_port}: no connection; is it running"):
            attempt(interface(free_port))
    with pytest.raises(Retryable, match="no connection"):
        echo(interface(free_port, host="no such host"))


def test_a_half_open_peer_is_given_up(message: Document) -> None:
    with silent_peer() as port, pytest.raises(Retryable, match="no acknowledgement within 1 s"):
        deliver(message, interface(port))


def test_a_check_connects_and_sends_nothing() -> None:
    with mllp_peer(answers()) as heard:
        assert echo(interface(heard.port)) == f"127.0.0.1:{heard.port} takes connections; no message was sent"
    assert heard.messages == []


@pytest.mark.parametrize("own", [False, True])
def test_over_tls(own: bool, message: Document, certificates: Certificates) -> None:
    tls = certificates.with_ours() if own else certificates.trusted()
    with mllp_peer(answers(), certificates.server(asks_for_ours=own)) as heard:
        peer = interface(heard.port, tls=tls, timeout_s=5)
        assert echo(peer) == f"127.0.0.1:{heard.port} takes connections over TLS; no message was sent"
        assert deliver(message, peer).delivered


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("stranger", "its certificate is signed by nobody whom we trust; see tls.ca_file"),
        ("expired", "its certificate has expired"),
        ("other name", "its certificate is for another name"),
        ("asks for ours", "for a certificate of ours"),
        ("plain", "TLS"),
    ],
)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_does_not_fit_gets_nothing(
    wrong: str, words: str, newest: ssl.TLSVersion, message: Document, certificates: Certificates
) -> None:
    make: dict[str, Callable[[], ssl.SSLContext | None]] = {
        "stranger": lambda: certificates.server(signed_by=certificates.stranger),
        "expired": lambda: certificates.server(days_left=-1),
        "other name": lambda: certificates.server(name="his.example.org"),
        "asks for ours": lambda: certificates.server(asks_for_ours=True),
        "plain": lambda: None,
    }
    context = make[wrong]()
    if context is not None:
        context.maximum_version = newest
    with mllp_peer(answers(), context) as heard:
        for attempt in (lambda peer: deliver(message, peer), echo):
            with pytest.raises(AppError) as caught:
                attempt(interface(heard.port, tls=certificates.trusted()))
            assert words in str(caught.value), caught.value
    assert heard.messages == []


def test_a_peer_without_mllp_is_told(message: Document) -> None:
    """A web server reads the message as a request that it does not understand."""
    with web_peer(lambda _: pytest.fail("no request")) as heard, pytest.raises(AppError) as caught:
        deliver(message, interface(heard.port))
    assert caught.type in {Rejected, Retryable}


def test_what_is_no_message_is_refused_before_anyone_is_called(sr: Document, message: Document) -> None:
    with pytest.raises(Rejected, match="sr is no HL7 message"):
        deliver(sr, interface(1))
    for content, words in (
        (b"", "no HL7 message with a control ID"),
        (b"MSH|^~\\&|a|b\r", "no HL7 message with a control ID"),
        (message.path.read_bytes() + b"\x1c", "holds a character that ends an MLLP frame"),
    ):
        message.path.write_bytes(content)
        with pytest.raises(Rejected, match=words):
            deliver(message, interface(1))
