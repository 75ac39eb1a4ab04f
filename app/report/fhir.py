"""A report as FHIR R4: a transaction of a DiagnosticReport, its Observations and the Device that made them.

Everything is created only where it is not there yet (conditional create by identifier), and every name is derived
from the report: posting a bundle twice makes no second report. Patient, order and study are told by their identifiers
and not sent: they are the hospital's. What each element holds is written down in docs/conformance.md.
"""

from collections.abc import Collection
from datetime import datetime
from html import escape

from app.codes import PRIVATE
from app.findings import Algorithm, Report
from app.identity import Identity, decoded, one_line
from app.report.fhir_observations import Observations, Observed
from app.report.fhir_values import (
    DICOM_UID,
    SYSTEMS,
    Resource,
    concept,
    laid_out,
    notes,
    of_terminology,
    oid,
    pruned,
    uuid_url,
)
from app.report.items import FAMILY, MANUFACTURER
from app.report.shown import answer
from app.report.source import Source
from app.report.sr import ANY_PROCEDURE, PROCEDURES
from app.report.uids import derived_uid, predecessor_uid, report_uid
from app.report.words import disclaimer, provenance, remarks
from app.structures import in_words

XHTML = "http://www.w3.org/1999/xhtml"
REPLACES = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-replaces"
STUDY_UID = {"system": SYSTEMS["DCM"], "code": "110180", "display": "Study Instance UID"}


def fhir_bundle(report: Report, source: Source, made_at: datetime, *, outlined: Collection[str] = ()) -> bytes:
    """Encode a report; the same arguments give the same bytes.

    Args:
        report: What one bundle said.
        source: The analysed images.
        made_at: Aware of its time zone, as FHIR's instants are.
        outlined: Kinds of the findings of which a segmentation was made, for their lesions to name.

    Returns:
        A Bundle of type transaction as UTF-8 JSON.

    Raises:
        ValueError: A number is not finite, a certainty no probability.
        KeyError: A finding is not in the code table.
    """
    identity = decoded(source.identity)
    device = _software_uid(report.algorithm)
    common = _common(report, identity, made_at)
    by = {"device": {"reference": uuid_url(device), "type": "Device"}}
    observed = Observations(report, source, common | by, outlined).all()
    content = {
        "resourceType": "Bundle",
        "id": uuid_url(report_uid(report, "fhir", "bundle")).removeprefix("urn:uuid:"),
        "meta": _marks(report.algorithm),
        "type": "transaction",
        "timestamp": _instant(made_at),
        "entry": [
            _entry(device, _device(report.algorithm)),
            _entry(report_uid(report, "fhir"), _diagnostic_report(report, source, common, observed)),
            *(_entry(each.uid, each.resource) for each in observed),
        ],
    }
    return (laid_out(pruned(content)) + "\n").encode()


def _entry(uid: str, resource: Resource) -> Resource:
    """A resource that is created unless one with its first identifier is there (FHIR R4, 3.1.0.8.1)."""
    identifier = resource["identifier"][0]
    return {
        "fullUrl": uuid_url(uid),
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
        },
    }


def _common(report: Report, identity: Identity, made_at: datetime) -> Resource:
    """What the report and its Observations share. Preliminary and never final: nobody verified it."""
    number = {"type": _v2("ACSN", "Accession ID"), "value": identity.accession_number}
    day = identity.study_date
    return {
        "meta": _marks(report.algorithm),
        "status": "preliminary",
        "basedOn": [{"type": "ServiceRequest", "identifier": number}] if identity.accession_number else [],
        "partOf": [_study(report)],
        "subject": _patient(identity),
        "effectiveDateTime": None if day is None else day.isoformat(),
        "issued": _instant(made_at),
    }


def _diagnostic_report(report: Report, source: Source, common: Resource, observed: list[Observed]) -> Resource:
    shared = {key: value for key, value in common.items() if key != "partOf"}
    lines = _lines(report)
    return {
        "resourceType": "DiagnosticReport",
        "meta": shared.pop("meta"),
        "text": {"status": "generated", "div": _narrative(lines, list(remarks(report)))},
        "extension": _replaces(report),
        "identifier": [
            {"system": DICOM_UID, "value": oid(report_uid(report, "fhir"))},
            {"system": DICOM_UID, "value": oid(report_uid(report, "sr")), "type": {"text": "DICOM SR"}},
        ],
        **shared,
        "category": [{"coding": [of_terminology("v2-0074", "RAD", "Radiology")]}],
        "code": concept(
            PROCEDURES.get(source.modality, ANY_PROCEDURE), text=report.algorithm.title or report.algorithm.name
        ),
        "result": [{"reference": uuid_url(each.uid), "type": "Observation"} for each in observed if not each.member],
        "imagingStudy": [_study(report)],
        "conclusion": "\n".join(map(one_line, (*remarks(report), *lines))),
    }


def _replaces(report: Report) -> list[Resource]:
    """Reports on earlier revisions that this one stands for (FHIR R4, extension diagnosticReport-replaces)."""
    earlier = [oid(predecessor_uid(report, each, "fhir")) for each in report.replaces]
    return [
        {
            "url": REPLACES,
            "valueReference": {"type": "DiagnosticReport", "identifier": {"system": DICOM_UID, "value": uid}},
        }
        for uid in earlier
    ]


def _lines(report: Report) -> list[str]:
    """The answers in words, one for each finding, structure or class."""
    return [*map(answer, report.findings), *in_words(report.structures, report.classes)]


def _narrative(lines: list[str], about: list[str]) -> str:
    """What a person reads where nothing of the rest is understood (FHIR R4, Narrative): XHTML, all text escaped."""
    answers = "".join(f"<li>{escape(one_line(line))}</li>" for line in lines)
    told = "".join(f"<p>{escape(one_line(line))}</p>" for line in about)
    return f'<div xmlns="{XHTML}">{told}<ul>{answers}</ul></div>' if answers else f'<div xmlns="{XHTML}">{told}</div>'


def _device(algorithm: Algorithm) -> Resource:
    """The software that answered: all that a reader needs to find its weights again."""
    parameters = {
        "weights sha256": algorithm.weights_sha256,
        "training data": algorithm.training_data,
        "status": algorithm.status,
    }
    names = {"model-name": algorithm.name, "user-friendly-name": algorithm.title}
    return {
        "resourceType": "Device",
        "meta": _marks(algorithm),
        "identifier": [{"system": DICOM_UID, "value": oid(_software_uid(algorithm))}],
        "status": "active",
        "manufacturer": MANUFACTURER,
        "deviceName": [{"name": one_line(name), "type": kind} for kind, name in names.items() if one_line(name)],
        "type": concept(FAMILY),
        "version": [{"value": one_line(algorithm.version)}],
        "property": [
            {"type": {"text": name}, "valueCode": [{"text": one_line(value)}]}
            for name, value in parameters.items()
            if one_line(value)
        ],
        "note": notes([disclaimer(algorithm), provenance(algorithm)]),
    }


def _software_uid(algorithm: Algorithm) -> str:
    """Name a version of a bundle with its weights; the observer of the SR is the bundle in whatever version."""
    return derived_uid("software", algorithm.name, algorithm.version, algorithm.weights_sha256)


def _marks(algorithm: Algorithm) -> Resource:
    """Research alone: as a security label, which servers heed, and as a tag in words, which people see."""
    if not algorithm.research_only:
        return {}
    return {
        "security": [of_terminology("v3-ActReason", "HRESCH", "healthcare research")],
        "tag": [{"system": SYSTEMS[PRIVATE], "code": "research-use-only", "display": disclaimer(algorithm)}],
    }


def _study(report: Report) -> Resource:
    identifier = {"type": {"coding": [STUDY_UID]}, "system": DICOM_UID, "value": oid(one_line(report.study_uid))}
    return {"type": "ImagingStudy", "identifier": identifier}


def _patient(identity: Identity) -> Resource:
    """By identifier, with the name for people; the issuer is a system where it is an OID, else a name."""
    issuer = identity.issuer
    identifier = {
        "type": _v2("PI", "Patient internal identifier"),
        "system": oid(issuer) if identity.issued_by_oid else "",
        "value": identity.patient_id,
        "assigner": {"display": "" if identity.issued_by_oid else one_line(issuer)},
    }
    name = " / ".join(each.words for each in identity.names)
    told = {"identifier": identifier if identity.patient_id else None, "display": name}
    return {"type": "Patient", **told} if name or identity.patient_id else {}


def _v2(code: str, display: str) -> Resource:
    return {"coding": [of_terminology("v2-0203", code, display)]}


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
