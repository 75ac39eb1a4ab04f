"""STOW-RS to services that answer in every way there is: what counts as stored, what is tried again."""

import json
from email import message_from_bytes
from email.policy import HTTP
from http import HTTPStatus
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.deliver import deliver, echo
from app.destinations import DicomWebDestination
from app.documents import Document, DocumentKind
from app.errors import AppError, Rejected, Retryable
from tests.integration.deliver.listeners import Reply, Request, web_peer

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.88.34"
SECRET = "JANE DOE"


def service(port: int, **changes: object) -> DicomWebDestination:
    values = {"kind": "dicomweb", "name": "archive", "url": f"http://127.0.0.1:{port}/dicom-web/", "timeout_s": 2}
    return DicomWebDestination.model_validate(values | changes)


def data_set(
    stored: str = "", failed: str = "", reason: int | None = None, warning: int | None = None, at: str = ""
) -> dict[str, object]:
    """The answer of PS3.18 table I.2-1."""

    def item(uid: str, tag: str, why: int | None) -> dict[str, object]:
        told = {"00081150": {"vr": "UI", "Value": [SOP_CLASS]}, "00081155": {"vr": "UI", "Value": [uid]}}
        return told | ({} if why is None else {tag: {"vr": "US", "Value": [why]}})

    return {
        **({"00081190": {"vr": "UR", "Value": [at]}} if at else {}),
        "00081198": {"vr": "SQ", **({"Value": [item(failed, "00081197", reason)]} if failed else {})},
        "00081199": {"vr": "SQ", **({"Value": [item(stored, "00081196", warning)]} if stored else {})},
    }


def reply(status: int, content: object, **headers: str) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/dicom+json", **headers})


def test_the_request_holds_the_bytes_of_the_file(sr: Document, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc.def\n")
    with web_peer(reply(200, data_set(stored=sr.sop_instance_uid))) as heard:
        receipt = deliver(sr, service(heard.port, token_file=tmp_path / "token"))
    assert (receipt.delivered, receipt.document, receipt.detail) == (True, sr.path.name, "200 OK")
    (request,) = heard.requests
    assert (request.method, request.path) == ("POST", "/dicom-web/studies")
    assert (request.headers["Authorization"], request.headers["Accept"]) == (
        "Bearer abc.def",
        "application/dicom+json",
    )
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    whole = message_from_bytes(head + request.body, policy=HTTP)
    (part,) = whole.iter_parts()
    assert (whole.get_content_type(), whole.get_param("type")) == ("multipart/related", "application/dicom")
    assert part.get_content_type() == "application/dicom"
    boundary = whole.get_boundary().encode()
    assert request.body.split(b"\r\n\r\n", 1)[1] == sr.path.read_bytes() + b"\r\n--" + boundary + b"--\r\n"


def test_the_token_is_read_at_every_use(sr: Document, tmp_path: Path) -> None:
    with web_peer(reply(200, data_set(stored=sr.sop_instance_uid))) as heard:
        for token in ("one", "two"):
            (tmp_path / "token").write_text(token)
            deliver(sr, service(heard.port, token_file=tmp_path / "token"))
    assert [request.headers["Authorization"] for request in heard.requests] == ["Bearer one", "Bearer two"]


UID = "the uid of the document"
STORED = {
    "stored": (200, {"stored": UID}, "200 OK"),
    "stored with a warning": (
        202,
        {"stored": UID, "warning": 0xB000},
        "202 Accepted: 0xB000 Warning: coercion of data elements",
    ),
    "there already": (
        409,
        {"failed": UID, "reason": 0x0111},
        "409 Conflict: 0x0111 Duplicate SOP instance: the destination has it already",
    ),
}


@pytest.mark.parametrize("case", STORED)
def test_what_is_stored_is_delivered(case: str, sr: Document) -> None:
    status, content, words = STORED[case]
    told = {key: sr.sop_instance_uid if value == UID else value for key, value in content.items()}
    with web_peer(reply(status, data_set(**told))) as heard:
        receipt = deliver(sr, service(heard.port))
    assert (receipt.delivered, receipt.detail) == (True, words)


FAULTS = {
    "failed, with 200": (200, {"failed": UID, "reason": 0xA900}, Rejected, "200 OK: 0xA900 Data set does not match"),
    "failed, with 202": (202, {"failed": UID, "reason": 0xC000}, Rejected, "202 Accepted: 0xC000 Cannot understand"),
    "no room": (409, {"failed": UID, "reason": 0xA700}, Retryable, "409 Conflict: 0xA700 Out of resources"),
    "processing failure": (409, {"failed": UID, "reason": 0x0110}, Retryable, "0x0110 Processing failure"),
    "no such class": (409, {"failed": UID, "reason": 0x0122}, Rejected, "0x0122 SOP class not supported"),
    "a number of its own": (409, {"failed": UID, "reason": 0xB00E}, Rejected, "409 Conflict: 0xB00E, listed as failed"),
    "no reason": (409, {"failed": UID}, Rejected, "listed as failed, without a reason"),
    "conflict alone": (409, {}, Rejected, "archive: 409 Conflict"),
    "another was stored": (200, {"stored": "1.2.3"}, Rejected, "does not list the document as stored"),
    "a full disk": (200, {"at": "http://archive"}, Retryable, "its answer lists nothing; has the archive room"),
    "nothing said": (200, {}, Rejected, "does not list the document as stored; is the url that of a DICOMweb service?"),
    "in both lists": (200, {"stored": UID, "failed": UID, "reason": 0xA700}, Retryable, "0xA700 Out of resources"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_stored_is_no_delivery(fault: str, sr: Document) -> None:
    status, content, kind, words = FAULTS[fault]
    told = {key: sr.sop_instance_uid if value == UID else value for key, value in content.items()}
    with web_peer(reply(status, data_set(**told))) as heard, pytest.raises(AppError) as caught:
        deliver(sr, service(heard.port))
    assert (caught.type, words in str(caught.value)) == (kind, True), caught.value


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, Rejected, "archive: 400 Bad Request"),
        (401, Rejected, "archive: 401 Unauthorized; is the token in token_file right?"),
        (403, Rejected, "archive: 403 Forbidden; may the holder of the token do this?"),
        (404, Rejected, "archive: 404 Not Found; is the url right?"),
        (408, Retryable, "archive: 408 Request Timeout"),
        (413, Rejected, f"archive: 413 {HTTPStatus(413).phrase}; it takes no document of this size"),
        (429, Retryable, "archive: 429 Too Many Requests"),
        (500, Retryable, "archive: 500 Internal Server Error"),
        (503, Retryable, "archive: 503 Service Unavailable"),
        (302, Rejected, "archive: 302 Found; it has moved: enter the address where it is now"),
        (499, Rejected, "archive: status 499"),
        (799, Retryable, "archive: status 799"),
    ],
)
def test_the_status_tells_whether_to_try_again(status: int, kind: type[AppError], words: str, sr: Document) -> None:
    """In words of ours: a peer's own, in the status line or the body, may quote the patient."""
    answer = Reply(status, SECRET.encode(), {"Location": "http://127.0.0.1:1/", "Content-Type": "text/html"})
    with web_peer(answer) as heard, pytest.raises(AppError) as caught:
        deliver(sr, service(heard.port))
    assert (caught.type, str(caught.value), len(heard.requests)) == (kind, words, 1)


def test_retry_after_is_the_least_pause(sr: Document) -> None:
    with web_peer(Reply(503, headers={"Retry-After": "120"})) as heard, pytest.raises(Retryable) as caught:
        deliver(sr, service(heard.port))
    assert caught.value.after_s == 120


def test_a_success_that_says_nothing_is_no_delivery(sr: Document) -> None:
    with web_peer(Reply(204)) as heard, pytest.raises(Rejected, match="204 No Content, but its answer does not list"):
        deliver(sr, service(heard.port))


def test_a_login_page_is_no_delivery(sr: Document) -> None:
    page = Reply(200, b"<html>Please log in", {"Content-Type": "text/html"})
    with web_peer(page) as heard, pytest.raises(Rejected, match="does not list the document as stored"):
        deliver(sr, service(heard.port))


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b"null", b'{"00081199": {"Value": [1]}}', b'{"00081199": []}'])
def test_strange_answers_are_no_delivery(body: bytes, sr: Document) -> None:
    with web_peer(Reply(200, body)) as heard, pytest.raises(Rejected, match="does not list the document as stored"):
        deliver(sr, service(heard.port))


def test_only_dicom_is_sent(documents: tuple[Document, ...]) -> None:
    as_json = next(document for document in documents if document.kind is DocumentKind.JSON)
    with pytest.raises(Rejected, match="json is no DICOM object and cannot be sent by STOW-RS"):
        deliver(as_json, service(1))


def test_the_search_of_a_check_tells_of_nobody() -> None:
    with web_peer(Reply(204)) as heard:
        assert echo(service(heard.port)).endswith("answers a search (QIDO-RS)")
    (request,) = heard.requests
    assert (request.method, request.path) == ("GET", "/dicom-web/studies?StudyInstanceUID=2.25.0&limit=1")


@pytest.mark.parametrize("status", [405, 501])
def test_a_service_without_search_answers_too(status: int) -> None:
    with web_peer(Reply(status)) as heard:
        assert "whether it stores is seen with the first document" in echo(service(heard.port))


def test_the_log_tells_nothing_of_the_patient(sr: Document) -> None:
    def answer(request: Request) -> Reply:
        return reply(200, data_set(stored=sr.sop_instance_uid))

    with web_peer(answer) as heard, capture_logs() as logs:
        deliver(sr, service(heard.port))
    assert [(log["event"], log["destination"], log["kind"], log["status"]) for log in logs] == [
        ("document_sent", "archive", "sr", "200 OK")
    ]
