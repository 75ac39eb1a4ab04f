"""Web services that are down, slow, half-open, endless, or not who they should be: what is said of each, and when."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from app.deliver import deliver, echo
from app.destinations import DicomWebDestination, WebhookDestination
from app.documents import Document, DocumentKind
from app.errors import AppError, Rejected, Retryable
from tests.integration.deliver.certificates import Certificates
from tests.integration.deliver.listeners import Reply, silent_peer, web_peer


def hook(port: int, scheme: str = "http", **changes: object) -> WebhookDestination:
    values = {"kind": "webhook", "name": "desk", "url": f"{scheme}://127.0.0.1:{port}/in?code=s3cret", "timeout_s": 1}
    return WebhookDestination.model_validate(values | changes)


@pytest.fixture
def as_json(documents: tuple[Document, ...]) -> Document:
    return next(document for document in documents if document.kind is DocumentKind.JSON)


@contextmanager
def raw_peer(*parts: bytes, pause_s: float = 0.0) -> Iterator[int]:
    """Answers a request by these bytes, one after the other."""

    def serve() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(65_536)
            for part in parts:
                try:
                    connection.sendall(part)
                except OSError:
                    return
                time.sleep(pause_s)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_nobody_listens(as_json: Document, free_port: int) -> None:
    for attempt in (lambda: deliver(as_json, hook(free_port)), lambda: echo(hook(free_port))):
        with pytest.raises(Retryable, match="no connection; is it running, and") as caught:
            attempt()
        assert "s3cret" not in str(caught.value)


def test_a_silent_peer_is_given_up(as_json: Document) -> None:
    with silent_peer() as port:
        started = time.monotonic()
        with pytest.raises(Retryable, match=f"desk: http://127.0.0.1:{port}: no answer within 1 s"):
            deliver(as_json, hook(port))
        assert time.monotonic() - started < 10


def test_an_answer_that_trickles_is_given_up(as_json: Document) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with (
        raw_peer(head, *[b"."] * 8, pause_s=0.3) as port,
        pytest.raises(Retryable, match=r"desk: its answer did not end within 1 s"),
    ):
        deliver(as_json, hook(port))


def test_an_answer_that_breaks_off_is_no_delivery(as_json: Document) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"
    with raw_peer(head) as port, pytest.raises(Retryable):
        deliver(as_json, hook(port))


def test_an_endless_answer_is_refused(as_json: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.deliver.web.LARGEST_ANSWER", 1 << 20)
    with (
        web_peer(Reply(200, bytes(2 << 20))) as heard,
        pytest.raises(Rejected, match="desk: its answer is longer than 1 MiB"),
    ):
        deliver(as_json, hook(heard.port, timeout_s=10))


def test_what_is_no_http_is_told(as_json: Document) -> None:
    with (
        raw_peer(b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00") as port,
        pytest.raises(Retryable, match=r"its answer broke off, or is no HTTP; is the url right\?"),
    ):
        deliver(as_json, hook(port))


def test_the_right_peer_gets_the_document_over_tls(as_json: Document, certificates: Certificates) -> None:
    for context, tls in (
        (certificates.server(), certificates.trusted()),
        (certificates.server(asks_for_ours=True), certificates.with_ours()),
        (certificates.server(name="desk.example.org"), certificates.trusted(check_host_name=False)),
    ):
        with web_peer(Reply(204), context) as heard:
            peer = hook(heard.port, "https", tls=tls)
            assert echo(peer) == f"https://127.0.0.1:{heard.port} takes connections over TLS; nothing was sent"
            assert deliver(as_json, peer).detail == "204 No Content"
        assert [request.body for request in heard.requests] == [as_json.path.read_bytes()]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("stranger", "its certificate is signed by nobody whom we trust; see tls.ca_file"),
        ("system", "its certificate is signed by nobody whom we trust; see tls.ca_file"),
        ("expired", "its certificate has expired"),
        ("other name", "its certificate is for another name"),
        ("asks for ours", "for a certificate of ours"),
    ],
)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_does_not_fit_gets_nothing(
    wrong: str, words: str, newest: ssl.TLSVersion, as_json: Document, certificates: Certificates
) -> None:
    context = {
        "stranger": lambda: certificates.server(signed_by=certificates.stranger),
        "system": certificates.server,
        "expired": lambda: certificates.server(days_left=-1),
        "other name": lambda: certificates.server(name="desk.example.org"),
        "asks for ours": lambda: certificates.server(asks_for_ours=True),
    }[wrong]()
    context.maximum_version = newest
    tls = None if wrong == "system" else certificates.trusted()
    with web_peer(Reply(200), context) as heard:
        for attempt in (deliver, lambda _, peer: echo(peer)):
            with pytest.raises(AppError) as caught:
                attempt(as_json, hook(heard.port, "https", tls=tls))
            # Of our certificate TLS 1.3 speaks after the handshake, when what we send may have met a reset already.
            assert caught.type is Rejected or wrong == "asks for ours"
            assert words in str(caught.value), caught.value
    assert heard.requests == []


def test_a_peer_without_tls_gets_nothing(as_json: Document, certificates: Certificates) -> None:
    peer, words = raw_peer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it does not speak TLS on this port"
    with peer as port, pytest.raises(Rejected, match=words):
        deliver(as_json, hook(port, "https", tls=certificates.trusted()))


def test_missing_and_wrong_secrets_are_named_before_anyone_is_called(as_json: Document, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    cases = {
        None: "No such file or directory; put the secret there, readable for this user",
        b"": "is empty",
        b"two\nlines": "expected one line of printable ASCII",
        "schlüssel".encode(): "expected one line of printable ASCII",
        b"x" * 20_000: "expected one line of printable ASCII",
    }
    for content, words in cases.items():
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        for key in ("token_file", "secret_file"):
            for attempt in (lambda peer: deliver(as_json, peer), echo):
                with pytest.raises(Rejected) as caught:
                    attempt(hook(1, **{key: path}))
                assert str(caught.value).startswith(f"desk: {key} {path}"), caught.value
                assert str(caught.value).endswith(words)
    with pytest.raises(Rejected, match=r"tls\.ca_file .*gone\.pem: No such file or directory"):
        deliver(as_json, hook(1, "https", tls={"ca_file": tmp_path / "gone.pem"}))


def test_documents_that_are_not_there_are_refused_before_anyone_is_called(sr: Document, tmp_path: Path) -> None:
    sr.path.unlink()
    peer = DicomWebDestination.model_validate({"kind": "dicomweb", "name": "archive", "url": "http://127.0.0.1:1/"})
    with pytest.raises(Rejected, match=r"\.sr\.dcm is not there \(No such file or directory\)"):
        deliver(sr, peer)
