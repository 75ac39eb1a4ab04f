"""Bundles to a FHIR server: one that validates and honours conditional creates, and others that misbehave."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.deliver import deliver, echo
from app.destinations import FhirDestination
from app.documents import Document, DocumentKind
from app.errors import AppError, Rejected, Retryable
from app.report import encode
from tests.integration.deliver.certificates import Certificates
from tests.integration.deliver.fhir_server import FHIR_JSON, Store, service, serving
from tests.integration.deliver.listeners import Reply, web_peer
from tests.unit.report.factory import MADE_AT, make_report, make_study

SECRET = "Jane Doe, born 1961"


@pytest.fixture
def store() -> Iterator[Store]:
    held = Store()
    with serving(service(held, SECRET)) as port:
        held.port = port
        yield held


def server_at(port: int, scheme: str = "http", **changes: object) -> FhirDestination:
    values = {"kind": "fhir", "name": "records", "url": f"{scheme}://127.0.0.1:{port}/fhir", "timeout_s": 5}
    return FhirDestination.model_validate(values | changes)


@pytest.fixture
def bundle(tmp_path: Path) -> Document:
    made = encode(
        make_report(),
        make_study(tmp_path / "study"),
        tmp_path / "results",
        made_at=MADE_AT,
        kinds={DocumentKind.FHIR},
    )
    return next(document for document in made if document.kind is DocumentKind.FHIR)


def test_a_bundle_is_taken_and_the_same_again_makes_nothing_new(store: Store, bundle: Document) -> None:
    entries = json.loads(bundle.path.read_bytes())["entry"]
    first = deliver(bundle, server_at(store.port))
    held = json.dumps(store.resources)
    again = deliver(bundle, server_at(store.port))
    assert (first.delivered, first.detail) == (True, f"200 OK: {len(entries)} resources made")
    assert (again.delivered, again.detail) == (True, f"200 OK: 0 resources made, {len(entries)} were there already")
    assert json.dumps(store.resources) == held
    assert len(store.resources["DiagnosticReport"]) == 1


def test_an_invalid_bundle_is_refused_in_words_of_ours(store: Store, bundle: Document) -> None:
    broken = json.loads(bundle.path.read_bytes())
    broken["entry"][0]["resource"]["status"] = {"of": "no kind"}
    broken["entry"][0]["resource"]["identifier"] = "no list"
    bundle.path.write_text(json.dumps(broken))
    with pytest.raises(Rejected) as caught:
        deliver(bundle, server_at(store.port))
    assert str(caught.value) == "records: 400 Bad Request: error: structure at Bundle.entry[0]"
    assert store.resources == {}


def test_over_tls(bundle: Document, certificates: Certificates) -> None:
    held = Store()
    with serving(service(held), certificates.server()) as port:
        peer = server_at(port, "https", tls=certificates.trusted())
        assert echo(peer) == f"FHIR 4.0.1 at https://127.0.0.1:{port} answers /metadata"
        assert deliver(bundle, peer).delivered
    assert len(held.resources["DiagnosticReport"]) == 1


def outcome(*codes: str, severity: str = "error") -> dict[str, object]:
    issues = [
        {"severity": severity, "code": code, "diagnostics": SECRET, "details": {"text": SECRET}} for code in codes
    ]
    return {"resourceType": "OperationOutcome", "issue": issues}


def response(*statuses: str) -> dict[str, object]:
    entries = [{"response": {"status": status}} for status in statuses]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


FAULTS: dict[str, tuple[int, Callable[[int], object], type[AppError], str]] = {
    "not valid": (422, lambda _: outcome("invariant", "required"), Rejected, "error: invariant; error: required"),
    "locked": (409, lambda _: outcome("lock-error"), Retryable, "records: 409 Conflict: error: lock-error"),
    "throttled": (429, lambda _: outcome("throttled"), Retryable, "429 Too Many Requests: error: throttled"),
    "one of them lasts": (400, lambda _: outcome("timeout", "value"), Rejected, "error: timeout; error: value"),
    "several match": (412, lambda _: outcome("multiple-matches"), Rejected, "412 Precondition Failed: error: multiple"),
    "broken inside": (500, lambda _: outcome("exception"), Retryable, "500 Internal Server Error: error: exception"),
    "no known code": (400, lambda _: outcome(SECRET), Rejected, "400 Bad Request: error: of no known code"),
    "many": (400, lambda _: outcome(*["value"] * 9), Rejected, "and 4 more"),
    "no words": (400, lambda _: "nothing", Rejected, "records: 400 Bad Request"),
    "an outcome with 200": (200, lambda _: outcome("processing"), Rejected, "200 OK, but error: processing"),
    "no transaction": (200, lambda _: {"resourceType": "Bundle", "type": "searchset"}, Rejected, "is the url the base"),
    "a page": (200, lambda _: "<html>", Rejected, "its answer is no transaction-response"),
    "one fails": (200, lambda n: response(*["201"] * (n - 1), "400"), Rejected, "entries were taken"),
    "one is missing": (200, lambda n: response(*["201"] * (n - 1)), Rejected, "entries were taken"),
    "none": (200, lambda _: response(), Rejected, "but 0 of "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_taken_is_no_delivery_and_no_text_of_the_peer_is_told(fault: str, bundle: Document) -> None:
    status, content, kind, words = FAULTS[fault]
    entries = len(json.loads(bundle.path.read_bytes())["entry"])
    answer = Reply(status, json.dumps(content(entries)).encode(), {"Content-Type": FHIR_JSON})
    with web_peer(answer) as heard, capture_logs() as logs, pytest.raises(AppError) as caught:
        deliver(bundle, server_at(heard.port))
    assert (caught.type, words in str(caught.value)) == (kind, True), caught.value
    assert SECRET not in f"{caught.value}{logs}"


def test_an_outcome_without_errors_is_no_delivery_either(bundle: Document) -> None:
    answer = Reply(200, json.dumps(outcome("informational", severity="information")).encode())
    with web_peer(answer) as heard, pytest.raises(Rejected, match="its answer is no transaction-response"):
        deliver(bundle, server_at(heard.port))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Reply(200, b'{"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}'),
            "speaks FHIR 5.0.0; documents",
        ),
        (Reply(200, b'{"resourceType": "CapabilityStatement", "fhirVersion": "x y"}'), "speaks FHIR another version"),
        (Reply(200, b"{}"), "without a CapabilityStatement; is the url the base of a FHIR server?"),
        (Reply(200, b"<html>"), "without a CapabilityStatement"),
        (Reply(401), "records: 401 Unauthorized; is the token in token_file right?"),
        (Reply(404), "records: 404 Not Found; is the url right?"),
    ],
)
def test_a_check_tells_what_is_no_r4_server(answer: Reply, words: str) -> None:
    with web_peer(answer) as heard, pytest.raises(Rejected) as caught:
        echo(server_at(heard.port))
    assert words in str(caught.value)
    assert heard.requests[0].path == "/fhir/metadata"


def test_other_documents_are_refused(sr: Document) -> None:
    with pytest.raises(Rejected, match="sr is no FHIR bundle"):
        deliver(sr, server_at(1))
