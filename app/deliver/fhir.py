"""Bundles to a FHIR R4 server: one transaction, all of it or nothing (R4 section 3.1.0.11)."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import structlog

from app.deliver.payload import content
from app.deliver.web import Answer, address, ask, failure
from app.destinations import FhirDestination
from app.documents import Document, DocumentKind, Receipt
from app.errors import Rejected, Retryable

MEDIA_TYPE: Final = "application/fhir+json"
R4: Final = "4.0"
# http://hl7.org/fhir/R4/codesystem-issue-type.html: what stands below "transient" there, and the others that may pass.
# Tuples: what is looked for comes from outside and need not be hashable.
PASSING: Final = ("transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled")
SEVERE: Final = ("fatal", "error")
# A path of names and numbers: an expression may as well compare with a value, and values are the patient's.
PLAIN_PATH: Final = re.compile(r"[A-Za-z]+(\.[A-Za-z]+|\[\d+\])*", re.ASCII)
CODE: Final = re.compile(r"[a-z][a-z-]{0,30}", re.ASCII)
SUCCESS: Final = re.compile(r"2\d\d\b", re.ASCII)
MOST_ISSUES: Final = 5
LONGEST_PATH: Final = 200

log = structlog.get_logger()


def deliver(document: Document, destination: FhirDestination) -> Receipt:
    """Post one bundle; see `app.deliver.ways.deliver`.

    Delivered is what is answered by a transaction-response with a success for every entry. A resource that the server
    had already (conditional create, 200) counts as one that it made (201).
    """
    if document.kind is not DocumentKind.FHIR:
        raise Rejected(f"{document.path.name}: {document.kind.value} is no FHIR bundle")
    bundle = content(document)
    entries = _entries(bundle)
    headers = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE, "Prefer": "return=minimal"}
    answer = ask(destination, "POST", headers=headers, content=bundle)
    log.info("document_sent", destination=destination.name, kind=document.kind.value, status=str(answer))
    said = _json(answer)
    if not answer.succeeded:
        raise _refused(answer, said, destination)
    return Receipt(
        destination.name,
        document.path.name,
        delivered=True,
        attempts=1,
        detail=f"{answer}: {_made(answer, said, entries, destination)}",
    )


def echo(destination: FhirDestination) -> str:
    """Ask for the capabilities (R4 section 3.1.0.9); see `app.deliver.ways.echo`."""
    answer = ask(destination, "GET", "/metadata", headers={"Accept": MEDIA_TYPE})
    said = _json(answer)
    if not answer.succeeded:
        raise _refused(answer, said, destination)
    where = f"{destination.name}: {address(destination)}"
    if said.get("resourceType") != "CapabilityStatement":
        raise Rejected(
            f"{where} answers /metadata without a CapabilityStatement; is the url the base of a FHIR server?"
        )
    version = str(said.get("fhirVersion", ""))
    if not version.startswith(R4):
        known = version if re.fullmatch(r"[0-9.]{1,12}", version) else "another version"
        raise Rejected(f"{where} speaks FHIR {known}; documents are R4 ({R4})")
    return f"FHIR {version} at {address(destination)} answers /metadata"


def in_words(outcome: Mapping[str, Any]) -> tuple[str, bool]:
    """Tell what an OperationOutcome says, without the peer's own text: that may quote the patient.

    Returns:
        Severity, code and place of each error, "error: required at Bundle.entry[0].resource.status"; and whether all of
        them may pass.
    """
    if outcome.get("resourceType") != "OperationOutcome":
        return "", False
    issues = [each for each in _list(outcome, "issue") if each.get("severity") in SEVERE]
    told = [_issue(each) for each in issues[:MOST_ISSUES]]
    if len(issues) > MOST_ISSUES:
        told.append(f"and {len(issues) - MOST_ISSUES} more")
    return "; ".join(told), bool(issues) and all(each.get("code") in PASSING for each in issues)


def _issue(issue: Mapping[str, Any]) -> str:
    code = str(issue.get("code", ""))
    words = f"{issue.get('severity')}: {code if CODE.fullmatch(code) else 'of no known code'}"
    places = issue.get("expression") or issue.get("location")
    told = [each for each in places if isinstance(each, str)] if isinstance(places, list) else []
    plain = [each for each in told if len(each) <= LONGEST_PATH and PLAIN_PATH.fullmatch(each)]
    return f"{words} at {', '.join(plain[:3])}" if plain else words


def _refused(answer: Answer, said: Mapping[str, Any], destination: FhirDestination) -> Exception:
    told, passes = in_words(said)
    if passes and answer.status < 500:
        return Retryable(f"{destination.name}: {answer}: {told}", after_s=answer.retry_after_s)
    return failure(answer, destination, told)


def _made(answer: Answer, said: Mapping[str, Any], expected: int, destination: FhirDestination) -> str:
    told, _ = in_words(said)
    if told:
        raise Rejected(f"{destination.name}: {answer}, but {told}")
    if (said.get("resourceType"), said.get("type")) != ("Bundle", "transaction-response"):
        words = "its answer is no transaction-response; is the url the base of a FHIR server that takes transactions?"
        raise Rejected(f"{destination.name}: {answer}, but {words}")
    statuses = [str(_mapping(entry, "response").get("status", "")) for entry in _list(said, "entry")]
    done = [status for status in statuses if SUCCESS.match(status)]
    if not len(done) == len(statuses) == expected:
        raise Rejected(f"{destination.name}: {answer}, but {len(done)} of {expected} entries were taken")
    there = sum(status.startswith("200") for status in done)
    return f"{len(done) - there} resources made" + (f", {there} were there already" if there else "")


def _entries(bundle: bytes) -> int:
    try:
        return len(_list(json.loads(bundle), "entry"))
    except (ValueError, AttributeError) as error:
        raise Rejected("the document is no FHIR bundle in JSON") from error


def _json(answer: Answer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _list(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    values = holder.get(key)
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}
