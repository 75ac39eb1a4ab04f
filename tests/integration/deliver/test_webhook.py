"""Webhooks: signed so that the receiver can tell, known again when they come twice, silent about the patient."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from app.deliver import deliver, deliver_all
from app.destinations import WebhookDestination
from app.documents import Document, DocumentKind
from app.errors import Rejected
from app.report import encode
from tests.integration.deliver.listeners import Reply, web_peer
from tests.unit.report.factory import MADE_AT, make_report, make_study

SECRET = "whsec_0123456789abcdef"


def hook(port: int, **changes: object) -> WebhookDestination:
    values = {"kind": "webhook", "name": "desk", "url": f"http://127.0.0.1:{port}/in?code=7", "timeout_s": 5}
    return WebhookDestination.model_validate(values | changes)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.fixture
def notices(tmp_path: Path) -> tuple[Document, ...]:
    """JSON and FHIR of one report."""
    kinds = {DocumentKind.JSON, DocumentKind.FHIR}
    made = encode(
        make_report(), make_study(tmp_path / "study"), tmp_path / "results" / "key", made_at=MADE_AT, kinds=kinds
    )
    return tuple(document for document in made if document.kind in kinds)


@pytest.fixture
def verify(root: Path) -> Callable[[str, bytes, str], bool]:
    """The function that docs/destinations.md gives to receivers."""
    page = (root / "docs" / "destinations.md").read_text(encoding="utf-8")
    (snippet,) = [each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def verify" in each]
    namespace: dict[str, Callable[[str, bytes, str], bool]] = {}
    exec(snippet, namespace)
    return namespace["verify"]


def test_both_kinds_arrive_signed(
    notices: tuple[Document, ...], secret_file: Path, verify: Callable[..., bool]
) -> None:
    with web_peer(Reply(204)) as heard:
        receipts = deliver_all(notices, hook(heard.port, secret_file=secret_file, documents=["json", "fhir"]))
    assert [(each.delivered, each.detail) for each in receipts] == [(True, "204 No Content")] * 2
    types = {DocumentKind.JSON: "application/json", DocumentKind.FHIR: "application/fhir+json"}
    for request, document in zip(heard.requests, notices, strict=True):
        assert (request.method, request.path, request.body) == ("POST", "/in?code=7", document.path.read_bytes())
        assert request.headers["Content-Type"] == types[document.kind]
        assert request.headers["Idempotency-Key"] == f"key/{document.path.name}"
        assert verify(request.headers["Vigil-Signature"], request.body, SECRET)


def test_the_signature_is_what_the_page_says(
    notices: tuple[Document, ...], secret_file: Path, verify: Callable[..., bool]
) -> None:
    with web_peer(Reply(200)) as heard:
        deliver(notices[0], hook(heard.port, secret_file=secret_file))
    (request,) = heard.requests
    told = request.headers["Vigil-Signature"]
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", told)
    assert match is not None
    at, digest = match.groups()
    assert abs(time.time() - int(at)) < 60
    assert digest == hmac.new(SECRET.encode(), at.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert not verify(told, request.body + b" ", SECRET)
    assert not verify(told, request.body, "another secret")
    assert not verify(told.replace(f"t={at}", f"t={int(at) - 3600}"), request.body, SECRET)
    old = int(time.time()) - 3600
    late = hmac.new(SECRET.encode(), f"{old}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert not verify(f"t={old},v1={late}", request.body, SECRET)
    assert not verify("", request.body, SECRET)


def test_without_a_secret_nothing_is_signed(notices: tuple[Document, ...]) -> None:
    with web_peer(Reply(200)) as heard:
        deliver(notices[0], hook(heard.port))
    assert "Vigil-Signature" not in heard.requests[0].headers


def test_a_second_attempt_has_the_same_key(notices: tuple[Document, ...]) -> None:
    with web_peer(Reply(200)) as heard:
        for _ in range(2):
            deliver(notices[0], hook(heard.port))
    first, second = heard.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_the_event_tells_what_is_urgent(notices: tuple[Document, ...]) -> None:
    with web_peer(Reply(200)) as heard:
        for urgent in (False, True):
            deliver(replace(notices[0], urgent=urgent), hook(heard.port))
    assert [request.headers["Vigil-Event"] for request in heard.requests] == ["report", "report.urgent"]


def test_headers_tell_nothing_of_the_patient(notices: tuple[Document, ...], tmp_path: Path) -> None:
    with web_peer(Reply(200)) as heard:
        deliver(notices[0], hook(heard.port))
    told = json.dumps(heard.requests[0].headers) + heard.requests[0].path
    image = dcmread(next((tmp_path / "study").glob("*.dcm")))
    secrets = (str(image.PatientName), image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID)
    assert [secret in told for secret in secrets] == [False] * 4


def test_other_documents_are_refused(sr: Document) -> None:
    with pytest.raises(Rejected, match="sr is not sent to web services"):
        deliver(sr, hook(1))
