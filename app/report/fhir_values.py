"""The small parts of FHIR R4 resources: codes, identifiers, numbers. A resource is a dictionary, as JSON is.

Empty values are left out at the end (`pruned`), since FHIR knows no empty strings, lists or objects.
"""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from app.codes import PRIVATE, Code
from app.identity import one_line
from app.report.items import CERTAINTY, PERCENT
from app.report.uids import derived_uid
from app.report.words import percent

Resource = dict[str, Any]

LINE = 140
UCUM = "http://unitsofmeasure.org"
DICOM_UID = "urn:dicom:uid"
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "UCUM": UCUM,
    "UMLS": "http://www.nlm.nih.gov/research/umls",
    PRIVATE: f"urn:oid:{derived_uid('coding scheme', PRIVATE)}",
}
"""Coding scheme designators of DICOM (PS3.16 section 8) as FHIR writes them."""


def coding(code: Code) -> Resource:
    """Write one code (FHIR R4, datatype Coding).

    Raises:
        KeyError: Of a coding scheme that no table here knows.
    """
    return {"system": SYSTEMS[code.scheme], "code": code.value, "display": one_line(code.meaning)}


def concept(*codes: Code, text: str = "") -> Resource:
    """Write a concept with one or several codes (FHIR R4, datatype CodeableConcept), and words of its own."""
    return {"coding": [coding(code) for code in codes], "text": one_line(text)}


def of_terminology(system: str, code: str, display: str) -> Resource:
    """Write a code of HL7's own terminology, of which FHIR's structure is made."""
    return {"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code, "display": display}


def oid(uid: str) -> str:
    """Write a DICOM UID as FHIR does (FHIR R4, ImagingStudy.identifier)."""
    return f"urn:oid:{uid}"


def uuid_url(uid: str) -> str:
    """Name a resource in its bundle: the UUID that a UID under 2.25 is made of (PS3.5 annex B.2)."""
    return UUID(int=int(uid.removeprefix("2.25."))).urn


def quantity(value: float, unit: Code) -> Resource:
    """Write a number with its unit (FHIR R4, datatype Quantity)."""
    return {"value": value, "unit": unit.meaning, "system": UCUM, "code": unit.value}


def measured(name: Code, value: float | None, unit: Code) -> list[Resource]:
    """A number as a component of an Observation; nothing where there is none."""
    return [] if value is None else [{"code": concept(name), "valueQuantity": quantity(value, unit)}]


def certainty(value: float | None) -> list[Resource]:
    """How certain the algorithm is, in per cent; nothing where it does not say.

    Raises:
        ValueError: It is no probability.
    """
    return measured(CERTAINTY, None if value is None else percent(value), PERCENT)


def told(name: Code, value: str) -> Resource:
    """Text as a component of an Observation."""
    return {"code": concept(name), "valueString": value}


def notes(texts: Iterable[str]) -> list[Resource]:
    """Sentences for people (FHIR R4, datatype Annotation)."""
    return [{"text": line} for line in map(one_line, texts) if line]


def pruned(value: Any) -> Any:
    """The same without what is empty; a number 0 and a `false` stay."""
    if isinstance(value, dict):
        kept = ((key, pruned(each)) for key, each in value.items())
        return {key: each for key, each in kept if not _empty(each)}
    if isinstance(value, list):
        return [each for each in map(pruned, value) if not _empty(each)]
    return value


def laid_out(value: Any, depth: int = 0) -> str:
    """Write JSON for people, too: what fits into a line stands in one.

    Raises:
        ValueError: A number is not finite.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or len(line) + depth <= LINE:
        return line
    if isinstance(value, dict):
        opening, closing = "{", "}"
        parts = [f"{json.dumps(key)}: {laid_out(each, depth + 1)}" for key, each in value.items()]
    else:
        opening, closing = "[", "]"
        parts = [laid_out(each, depth + 1) for each in value]
    inner = f",\n{' ' * (depth + 1)}".join(parts)
    return f"{opening}\n{' ' * (depth + 1)}{inner}\n{' ' * depth}{closing}"


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | dict | list) and not value)
