"""Judges audit messages by the schema of PS3.15 section A.5.1, with libxml2."""

from base64 import b64decode
from pathlib import Path
from typing import Any

from lxml import etree

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("audit-message.rng")))


def judged(line: str | bytes) -> Any:
    """The parsed message; fails where it does not fit the schema, or is no single line."""
    text = line.decode() if isinstance(line, bytes) else line
    assert "\n" not in text
    root = etree.fromstring(text)
    assert SCHEMA.validate(root), SCHEMA.error_log
    return root


def read(path: Path) -> list[Any]:
    """Every message of a file."""
    return [judged(line) for line in path.read_text("utf-8").splitlines()]


def told(root: Any) -> dict[str, Any]:
    """What matters of a message."""
    event = root.find("EventIdentification")
    kind = event.find("EventTypeCode")
    return {
        "event": event.find("EventID").get("originalText"),
        "type": None if kind is None else kind.get("originalText"),
        "action": event.get("EventActionCode"),
        "outcome": event.get("EventOutcomeIndicator"),
        "who": {
            each.get("UserID"): (
                each.get("UserIsRequestor") == "true",
                each.get("NetworkAccessPointID"),
                *[role.get("originalText") for role in each.findall("RoleIDCode")],
            )
            for each in root.findall("ActiveParticipant")
        },
        "what": {
            each.find("ParticipantObjectIDTypeCode").get("originalText"): each.get("ParticipantObjectID")
            for each in root.findall("ParticipantObjectIdentification")
        },
        "classes": {each.get("UID"): int(each.get("NumberOfInstances")) for each in root.iter("SOPClass")},
        "alert": [b64decode(each.get("value")).decode() for each in root.iter("ParticipantObjectDetail")],
    }
