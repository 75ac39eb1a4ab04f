"""Audit messages as XML, after the schema of PS3.15 section A.5.1 and the tables of A.5.3."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

DCM: Final = "DCM"
MACHINE_NAME, IP_ADDRESS = "1", "2"
PERSON, SYSTEM_OBJECT = "1", "2"
PATIENT, REPORT, SECURITY_RESOURCE, QUERY = "1", "3", "13", "24"
UNKNOWN: Final = "(unknown)"

_STUDY_UID: Final = ("110180", DCM, "Study Instance UID")
_PATIENT_NUMBER: Final = ("2", "RFC-3881", "Patient Number")
_NODE_ID: Final = ("110182", DCM, "Node ID")
_URI: Final = ("12", "RFC-3881", "URI")
_ALERT_DESCRIPTION: Final = "Alert Description"

Code = tuple[str, str, str]
"""Value, scheme, meaning."""


class Event(StrEnum):
    """What happened: EventID of CID 400."""

    APPLICATION = "110100"
    ACCESSED = "110103"
    TRANSFERRED = "110104"
    EXPORTED = "110106"
    QUERY = "110112"
    SECURITY_ALERT = "110113"
    AUTHENTICATION = "110114"


_MEANINGS: Final[Mapping[Event, str]] = {
    Event.APPLICATION: "Application Activity",
    Event.ACCESSED: "DICOM Instances Accessed",
    Event.TRANSFERRED: "DICOM Instances Transferred",
    Event.EXPORTED: "Export",
    Event.QUERY: "Query",
    Event.SECURITY_ALERT: "Security Alert",
    Event.AUTHENTICATION: "User Authentication",
}


class Type(StrEnum):
    """What kind of it: EventTypeCode of CID 401."""

    START = "110120"
    STOP = "110121"
    LOGIN = "110122"
    LOGOUT = "110123"
    NODE_AUTHENTICATION = "110126"
    SOFTWARE_CONFIGURATION = "110131"


_TYPES: Final[Mapping[Type, str]] = {
    Type.START: "Application Start",
    Type.STOP: "Application Stop",
    Type.LOGIN: "Login",
    Type.LOGOUT: "Logout",
    Type.NODE_AUTHENTICATION: "Node Authentication",
    Type.SOFTWARE_CONFIGURATION: "Software Configuration",
}


class RoleId(StrEnum):
    """What part a participant has: RoleIDCode of CID 402."""

    APPLICATION = "110150"
    DESTINATION = "110152"
    SOURCE = "110153"
    DESTINATION_MEDIA = "110154"


_ROLES: Final[Mapping[RoleId, str]] = {
    RoleId.APPLICATION: "Application",
    RoleId.DESTINATION: "Destination Role ID",
    RoleId.SOURCE: "Source Role ID",
    RoleId.DESTINATION_MEDIA: "Destination Media",
}


class Outcome(StrEnum):
    """EventOutcomeIndicator."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody, or some process, that took part.

    Attributes:
        user_id: AE title, name of a user, or process.
        is_requestor: Whether it began what happened.
        address: IP address or host name; "" where unknown.
        role: None leaves it out.
    """

    user_id: str
    is_requestor: bool
    address: str = ""
    role: RoleId | None = None


@dataclass(frozen=True, slots=True)
class StudyObject:
    """A study that it was about.

    Attributes:
        study_uid: StudyInstanceUID.
        patient_id: PatientID; "" where unknown.
        sop_classes: Number of instances of each SOP class; {} leaves them out.
    """

    study_uid: str
    patient_id: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that happened.

    Attributes:
        event, action: What; the action is one of C, R, U, D, E (EventActionCode).
        outcome: How it ended, `description` says it in words.
        at: Unix time, seconds.
        participants: Who took part.
        type: None leaves it out.
        study: What it was about; or `alert`, the node and the words of a security alert; or `query`, the address of a
            list with what was looked for.
    """

    event: Event
    action: str
    at: float
    participants: Sequence[Participant]
    outcome: Outcome = Outcome.SUCCESS
    description: str = ""
    type: Type | None = None
    study: StudyObject | None = None
    alert: str = ""
    query: str = ""


def to_xml(message: Message, source: str, site: str = "") -> str:
    """Write a message as one line.

    Args:
        message: What happened.
        source: AuditSourceID.
        site: AuditEnterpriseSiteID; "" leaves it out.
    """
    root = Element("AuditMessage")
    event = SubElement(root, "EventIdentification")
    event.set("EventActionCode", message.action)
    event.set("EventDateTime", datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds"))
    event.set("EventOutcomeIndicator", message.outcome)
    _code(event, "EventID", (message.event, DCM, _MEANINGS[message.event]))
    if message.type is not None:
        _code(event, "EventTypeCode", (message.type, DCM, _TYPES[message.type]))
    if message.description:
        SubElement(event, "EventOutcomeDescription").text = clean(message.description)
    for participant in message.participants:
        _participant(root, participant)
    origin = SubElement(root, "AuditSourceIdentification")
    if site:
        origin.set("AuditEnterpriseSiteID", clean(site))
    origin.set("AuditSourceID", clean(source))
    if message.study is not None:
        _study(root, message.study)
    if message.alert:
        _alert(root, source, message.alert)
    if message.query:
        _query(root, message.query)
    return tostring(root, encoding="unicode")


def clean(text: str) -> str:
    """Text for a line of XML: what XML 1.0 cannot hold becomes U+FFFD, ends of lines become blanks."""
    return "".join(_letters(text))


def _letters(text: str) -> Iterator[str]:
    for letter in text:
        point = ord(letter)
        if letter in "\t\n\r\x85\u2028\u2029":
            yield " "
        elif point < 0x20 or 0x7F <= point < 0xA0 or 0xD800 <= point < 0xE000 or point in {0xFFFE, 0xFFFF}:
            yield "\ufffd"
        else:
            yield letter


def _code(parent: Element, name: str, code: Code) -> Element:
    value, scheme, meaning = code
    made = SubElement(parent, name)
    made.set("csd-code", value)
    made.set("codeSystemName", scheme)
    made.set("originalText", meaning)
    return made


def _participant(root: Element, participant: Participant) -> None:
    made = SubElement(root, "ActiveParticipant")
    made.set("UserID", clean(participant.user_id) or UNKNOWN)
    made.set("UserIsRequestor", "true" if participant.is_requestor else "false")
    if participant.address:
        made.set("NetworkAccessPointID", clean(participant.address))
        made.set("NetworkAccessPointTypeCode", _kind_of(participant.address))
    if participant.role is not None:
        _code(made, "RoleIDCode", (participant.role, DCM, _ROLES[participant.role]))


def _kind_of(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return MACHINE_NAME
    return IP_ADDRESS


def _study(root: Element, study: StudyObject) -> None:
    made = _object(root, study.study_uid or UNKNOWN, SYSTEM_OBJECT, REPORT, code=_STUDY_UID, name="study")
    if study.sop_classes:
        described = SubElement(made, "ParticipantObjectDescription")
        for uid, count in sorted(study.sop_classes.items()):
            sop_class = SubElement(described, "SOPClass")
            sop_class.set("UID", clean(uid))
            sop_class.set("NumberOfInstances", str(count))
    # The name is left out: who needs it finds it by the number.
    _object(root, study.patient_id or UNKNOWN, PERSON, PATIENT, code=_PATIENT_NUMBER, name="patient")


def _query(root: Element, address: str) -> None:
    path = address.partition("?")[0]
    made = _object(root, path, SYSTEM_OBJECT, QUERY, code=_URI)
    SubElement(made, "ParticipantObjectQuery").text = b64encode(address.encode("utf-8", "replace")).decode()


def _alert(root: Element, node: str, words: str) -> None:
    made = _object(root, node, SYSTEM_OBJECT, SECURITY_RESOURCE, code=_NODE_ID, name="node")
    detail = SubElement(made, "ParticipantObjectDetail")
    detail.set("type", _ALERT_DESCRIPTION)
    detail.set("value", b64encode(words.encode("utf-8", "replace")).decode())


def _object(root: Element, identifier: str, kind: str, role: str, *, code: Code, name: str = "") -> Element:
    made = SubElement(root, "ParticipantObjectIdentification")
    made.set("ParticipantObjectID", clean(identifier))
    made.set("ParticipantObjectTypeCode", kind)
    made.set("ParticipantObjectTypeCodeRole", role)
    _code(made, "ParticipantObjectIDTypeCode", code)
    if name:
        SubElement(made, "ParticipantObjectName").text = name
    return made
