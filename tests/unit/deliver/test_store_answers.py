"""Whatever a DICOMweb or FHIR service says, nothing is delivered unless it says so of this document."""

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from app.deliver import dicomweb, fhir
from app.deliver.web import Answer
from app.destinations import DicomWebDestination, FhirDestination
from app.errors import AppError

UID = "2.25.1"
TAGS = [dicomweb.FAILED, dicomweb.REFERENCED, dicomweb.SOP_INSTANCE_UID, dicomweb.FAILURE_REASON, "Value"]
ANYTHING = st.none() | st.booleans() | st.integers(-1, 0xFFFF) | st.text(max_size=5)


def nested(keys: list[str], leaves: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=4),
        max_leaves=15,
    )


ARCHIVE = DicomWebDestination.model_validate({"kind": "dicomweb", "name": "archive", "url": "https://archive.local"})
RECORDS = FhirDestination.model_validate({"kind": "fhir", "name": "records", "url": "https://records.local"})


@given(nested(TAGS, ANYTHING), st.sampled_from([200, 202, 204, 409]))
def test_a_data_set_that_does_not_name_the_document_is_no_delivery(content: object, status: int) -> None:
    answer = Answer(status, "application/dicom+json", 0, json.dumps(content).encode())
    with suppress(AppError):
        detail = dicomweb._judged(answer, UID, ARCHIVE)
        # A failure without a UID is that of the one document that was sent.
        assert "0x0111 Duplicate" in detail


@given(st.binary(max_size=200), st.sampled_from([200, 202, 204, 409]))
def test_bytes_are_no_delivery(content: bytes, status: int) -> None:
    for judge in (
        lambda answer: dicomweb._judged(answer, UID, ARCHIVE),
        lambda answer: fhir._made(answer, fhir._json(answer), 1, RECORDS),
    ):
        with suppress(AppError):
            judge(Answer(status, "", 0, content))
            raise AssertionError(content)


@given(nested(["resourceType", "type", "entry", "response", "status", "issue"], ANYTHING), st.integers(1, 3))
def test_what_is_no_success_of_every_entry_is_no_delivery(content: object, entries: int) -> None:
    answer = Answer(200, "application/fhir+json", 0, json.dumps(content).encode())
    with suppress(AppError):
        fhir._made(answer, fhir._json(answer), entries, RECORDS)
        raise AssertionError(content)


@given(st.lists(st.sampled_from(["200 OK", "201 Created", "400 Bad Request", "", "2", "500"]), max_size=4))
def test_entries_count(statuses: list[str]) -> None:
    entry = [{"response": {"status": status}} for status in statuses]
    said = {"resourceType": "Bundle", "type": "transaction-response", "entry": entry}
    answer = Answer(200, "application/fhir+json", 0, b"")
    taken = False
    with suppress(AppError):
        fhir._made(answer, said, 3, RECORDS)
        taken = True
    assert taken == (len(statuses) == 3 and all(status[:3] in {"200", "201"} for status in statuses))
