"""A report as HL7 v2.5.1 ORU^R01 (chapter 7): one order, preliminary, an OBX for every answer and every number.

All up to the first OBX is built by hl7apy. The OBX segments, of which there may be hundreds, are joined here: hl7apy
takes 2.5 ms for each; it judges them in the tests. Texts are escaped here (chapter 2, section 2.7), since hl7apy leaves
alone what looks like an escape sequence and is none. What each field holds is written down in docs/conformance.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from uuid import UUID

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Group, Message, Segment

from app.codes import PRIVATE, Code
from app.findings import Report
from app.identity import Identity, decoded
from app.report.hl7v2_observations import Obx, observations
from app.report.hl7v2_values import coded, components, escaped, names_of_people, person, shortened
from app.report.items import MANUFACTURER
from app.report.source import Source
from app.report.sr import ANY_PROCEDURE, PROCEDURES
from app.report.uids import device_uid, predecessor_uid, report_uid
from app.report.words import remarks

VERSION = "2.5.1"
CONTROL_ID = 20
"""Most characters of MSH-10 in v2.5.1."""
NOTE = 65536
"""Most characters of NTE-3."""
STUDY_UID = Code("110180", "DCM", "Study Instance UID")
SEXES = {"M": "M", "F": "F", "O": "O"}
Fields = Mapping[int, str | Sequence[str]]


def hl7_message(report: Report, source: Source, made_at: datetime) -> bytes:
    """Encode a report; the same arguments give the same bytes.

    Args:
        report: What one bundle said.
        source: The analysed images.
        made_at: Aware of its time zone, which is sent along.

    Returns:
        The message in UTF-8, without the frame of MLLP; every segment ends with a carriage return.

    Raises:
        ValueError: A certainty is no probability.
        KeyError: A finding is not in the code table.
    """
    identity = decoded(source.identity)
    message = Message("ORU_R01", version=VERSION, validation_level=VALIDATION_LEVEL.TOLERANT)
    _fill(message.msh, _header(report, made_at))
    result = message.add_group("ORU_R01_PATIENT_RESULT")
    patient = result.add_group("ORU_R01_PATIENT")
    _add(patient, "PID", _patient(identity))
    _add(patient.add_group("ORU_R01_VISIT"), "PV1", {1: "1", 2: "U", 8: names_of_people(identity.referring)})
    order = result.add_group("ORU_R01_ORDER_OBSERVATION")
    filler = escaped(identity.accession_number) or components(report_uid(report, "hl7"), MANUFACTURER)
    _add(order, "ORC", {1: "RE", 3: filler})
    _add(order, "OBR", _request(report, source, identity, made_at, filler))
    for note in _notes((*remarks(report), *_replaced(report))):
        _add(order, "NTE", note)
    if report.urgent:
        _add(order.add_group("ORU_R01_TIMING_QTY"), "TQ1", {1: "1", 9: "S"})
    seen_at = _moment(identity.study_date, identity.study_time)
    device = components(f"{report.algorithm.name} {report.algorithm.version}", MANUFACTURER, device_uid(report), "ISO")
    told = [Obx("ST", coded(STUDY_UID), escaped(report.study_uid)), *observations(report, source)]
    segments = [message.to_er7().rstrip("\r")]
    for number, each in enumerate(told, 1):
        fields = {1: str(number), **each.fields, 14: seen_at, 18: device if each.of_algorithm else ""}
        segments += [_joined("OBX", fields), *(_joined("NTE", note) for note in _notes(each.notes))]
    return "".join(f"{segment}\r" for segment in segments).encode()


def control_id(report: Report) -> str:
    """MSH-10, which the answer repeats: derived, so that a message sent again is known to be the same."""
    return _control_id(report_uid(report, "hl7"))


def _control_id(uid: str) -> str:
    return UUID(int=int(uid.removeprefix("2.25."))).hex[:CONTROL_ID].upper()


def _header(report: Report, made_at: datetime) -> Fields:
    return {
        3: MANUFACTURER.upper(),
        7: _stamp(made_at),
        9: "ORU^R01^ORU_R01",
        10: control_id(report),
        11: "P",
        12: VERSION,
        18: "UNICODE UTF-8",
    }


def _patient(identity: Identity) -> Fields:
    """PID. A name that is not known is said to be so (table 0200, U); an identifier is never made up."""
    issuer = identity.issuer
    authority = f"&{issuer}&ISO" if identity.issued_by_oid else escaped(issuer)
    number = f"{escaped(identity.patient_id)}^^^{authority}^PI" if identity.patient_id else ""
    return {
        1: "1",
        3: number,
        5: [person(each) for each in identity.names] or "^^^^^^U",
        7: _moment(identity.birth_date),
        8: SEXES.get(identity.sex, "U"),
    }


def _request(report: Report, source: Source, identity: Identity, made_at: datetime, filler: str) -> Fields:
    """OBR. The service is the bundle's, so that the results of two bundles for one order stay apart."""
    algorithm = report.algorithm
    service = Code(algorithm.name, PRIVATE, algorithm.title or algorithm.name)
    urgent = {5: "S", 27: "^^^^^S"} if report.urgent else {}
    return {
        1: "1",
        3: filler,
        4: coded(service, PROCEDURES.get(source.modality, ANY_PROCEDURE)),
        7: _moment(identity.study_date, identity.study_time),
        18: escaped(identity.accession_number),
        22: _stamp(made_at),
        24: "RAD",
        25: "P",
        **urgent,
    }


def _replaced(report: Report) -> Iterable[str]:
    """Which messages on earlier revisions this one stands for, by their MSH-10."""
    earlier = ", ".join(_control_id(predecessor_uid(report, each, "hl7")) for each in report.replaces)
    return [f"Replaces the message on an earlier revision of the study: {earlier}"] if earlier else []


def _add(group: Group, name: str, fields: Fields) -> None:
    _fill(group.add_segment(name), fields)


def _notes(lines: Iterable[str]) -> list[dict[int, str]]:
    """The fields of an NTE for each line."""
    written = [line for line in (shortened(line, NOTE) for line in lines) if line]
    return [{1: str(number), 2: "L", 3: line} for number, line in enumerate(written, 1)]


def _joined(name: str, fields: Mapping[int, str]) -> str:
    """Write a segment from what is escaped already."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))]).rstrip("|")


def _fill(segment: Segment, fields: Fields) -> None:
    """Set fields from what is escaped already; a sequence repeats its field."""
    for number, value in sorted(fields.items()):
        name = f"{segment.name}_{number}".lower()
        if isinstance(value, str):
            if value:
                setattr(segment, name, value)
            continue
        for each in value:
            segment.add_field(name).value = each


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S%z")[:19]


def _moment(day: date | None, hour: time | None = None) -> str:
    """A date, with the time where it is known; in the local time of the modality, whose zone the images do not tell."""
    if day is None:
        return ""
    # strftime writes years before 1000 with fewer digits than four.
    return day.isoformat().replace("-", "") + ("" if hour is None else hour.strftime("%H%M%S"))
