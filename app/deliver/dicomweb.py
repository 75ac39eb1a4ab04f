"""Documents to a DICOMweb service by STOW-RS (PS3.18 section 10.5): what it says of the instance decides."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog

from app.deliver.payload import content
from app.deliver.statuses import Verdict, in_words, meaning
from app.deliver.web import Answer, address, ask, failure
from app.destinations import DicomWebDestination
from app.documents import DICOM_KINDS, Document, Receipt
from app.errors import Rejected, Retryable

# Attributes of the answer's data set (PS3.18 table I.2-1) in the DICOM JSON model.
FAILED, REFERENCED, RETRIEVE_URL = "00081198", "00081199", "00081190"
SOP_INSTANCE_UID, WARNING_REASON, FAILURE_REASON = "00081155", "00081196", "00081197"
DUPLICATE = 0x0111
JUDGED = frozenset({200, 202, 409})
NOBODY = "2.25.0"
"""A StudyInstanceUID that no study has: a search for it is answered, and tells of nobody."""

log = structlog.get_logger()


def deliver(document: Document, destination: DicomWebDestination) -> Receipt:
    """Store one document; see `app.deliver.ways.deliver`.

    Delivered is what the answer lists among the stored instances (Referenced SOP Sequence), with or without a warning,
    or refuses as a duplicate. What is listed as failed, or not at all, is not, also where the status is 200.
    """
    if document.kind not in DICOM_KINDS:
        raise Rejected(f"{document.path.name}: {document.kind.value} is no DICOM object and cannot be sent by STOW-RS")
    instance = content(document)
    boundary = f"vigil-{hashlib.sha256(instance).hexdigest()}"
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            instance,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    answer = ask(destination, "POST", "/studies", headers=headers, content=body)
    log.info("document_sent", destination=destination.name, kind=document.kind.value, status=str(answer))
    if answer.status not in JUDGED and not answer.succeeded:
        raise failure(answer, destination)
    detail = _judged(answer, document.sop_instance_uid, destination)
    return Receipt(destination.name, document.path.name, delivered=True, attempts=1, detail=detail)


def echo(destination: DicomWebDestination) -> str:
    """Search for a study that nobody has (QIDO-RS, PS3.18 section 10.6); see `app.deliver.ways.echo`."""
    path = f"/studies?StudyInstanceUID={NOBODY}&limit=1"
    answer = ask(destination, "GET", path, headers={"Accept": "application/dicom+json"})
    where = f"DICOMweb at {address(destination)}"
    if answer.succeeded:
        return f"{where} answers a search (QIDO-RS)"
    if answer.status in {405, 501}:
        return f"{where} answers, and offers no search: whether it stores is seen with the first document"
    raise failure(answer, destination)


def _judged(answer: Answer, uid: str, destination: DicomWebDestination) -> str:
    data_set = _data_set(answer)
    for item in _items(data_set, FAILED):
        if _value(item, SOP_INSTANCE_UID) in (uid, None):
            return _failed(answer, _value(item, FAILURE_REASON), destination)
    for item in _items(data_set, REFERENCED):
        if _value(item, SOP_INSTANCE_UID) == uid:
            warning = _value(item, WARNING_REASON)
            return str(answer) if not isinstance(warning, int) else f"{answer}: {in_words(warning)}"
    if answer.status == 409:
        raise failure(answer, destination)
    if RETRIEVE_URL in data_set and not _items(data_set, REFERENCED):
        # A DICOMweb service that stored nothing and says no reason: so Orthanc answers when its disk is full.
        raise Retryable(f"{destination.name}: {answer}, and its answer lists nothing; has the archive room to store?")
    words = "its answer does not list the document as stored; is the url that of a DICOMweb service?"
    raise Rejected(f"{destination.name}: {answer}, but {words}")


def _failed(answer: Answer, reason: object, destination: DicomWebDestination) -> str:
    if not isinstance(reason, int):
        raise Rejected(f"{destination.name}: {answer}: the document is listed as failed, without a reason")
    told = f"{answer}: {in_words(reason)}"
    if reason == DUPLICATE:
        return told
    match meaning(reason).verdict:
        case Verdict.AGAIN:
            raise Retryable(f"{destination.name}: {told}", after_s=answer.retry_after_s)
        case Verdict.REFUSED:
            raise Rejected(f"{destination.name}: {told}")
        case Verdict.DELIVERED:
            raise Rejected(f"{destination.name}: {answer}: 0x{reason:04X}, listed as failed")


def _data_set(answer: Answer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list) and len(found) == 1:
        # Some services wrap the one data set in a list, as in a search.
        found = found[0]
    return found if isinstance(found, dict) else {}


def _items(data_set: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = data_set.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _value(item: Mapping[str, Any], tag: str) -> object:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
