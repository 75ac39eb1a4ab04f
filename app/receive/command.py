"""DIMSE command sets (PS3.7 §6.3, Annex E): read a C-STORE request, write its response.

Command sets are always implicit VR little endian. pynetdicom's own way goes through two data sets and a primitive and
takes as long as writing the image; these two functions are all that storing needs.
"""

import struct
from dataclasses import dataclass
from typing import Final

from app.receive.dataset import uid_text

C_STORE_REQUEST: Final = 0x0001
_C_STORE_RESPONSE: Final = 0x8001
_NO_DATA_SET: Final = 0x0101

_SOP_CLASS, _FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_DATA_SET_TYPE, _STATUS, _ERROR_COMMENT, _SOP_INSTANCE = 0x0800, 0x0900, 0x0902, 0x1000


class ProtocolError(Exception):
    """The peer sent something that no conformant peer sends; the association ends."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a request says; "" and 0 where an element is absent."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str


def decode(data: bytes | bytearray) -> Command:
    """Read a command set.

    Raises:
        ProtocolError: It is no sequence of group 0000 elements.
    """
    elements: dict[int, bytes] = {}
    offset = 0
    try:
        while offset < len(data):
            group, element, length = struct.unpack_from("<HHI", data, offset)
            offset += 8
            if group != 0 or offset + length > len(data):
                raise ProtocolError("not a command set")
            elements[element] = bytes(data[offset : offset + length])
            offset += length
        return Command(
            field=_number(elements, _FIELD),
            message_id=_number(elements, _MESSAGE_ID),
            has_data_set=_number(elements, _DATA_SET_TYPE) != _NO_DATA_SET,
            sop_class_uid=uid_text(elements.get(_SOP_CLASS, b"")),
            sop_instance_uid=uid_text(elements.get(_SOP_INSTANCE, b"")),
        )
    except struct.error as error:
        raise ProtocolError("truncated command set") from error


def store_response(request: Command, status: int, comment: str = "") -> bytes:
    """Encode a C-STORE response (PS3.7 §9.3.1.2).

    Args:
        request: What is answered.
        status: (0000,0900).
        comment: (0000,0902), cut at 64 characters; left out where empty.
    """
    body = b"".join(
        (
            _text(_SOP_CLASS, request.sop_class_uid, "\0"),
            _short(_FIELD, _C_STORE_RESPONSE),
            _short(_RESPONDED_TO, request.message_id),
            _short(_DATA_SET_TYPE, _NO_DATA_SET),
            _short(_STATUS, status),
            _text(_ERROR_COMMENT, comment[:64], " ") if comment else b"",
            _text(_SOP_INSTANCE, request.sop_instance_uid, "\0"),
        )
    )
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def pdus(context_id: int, command: bytes, max_length: int) -> bytes:
    """Wrap a command set in P-DATA-TF PDUs (PS3.8 §9.3.5).

    Args:
        context_id: Presentation context.
        command: The encoded command set.
        max_length: What the peer takes in one PDU, bytes after the PDU header; 0 is unlimited.
    """
    room = max(max_length - 6, 2) if max_length else len(command)
    parts = []
    for start in range(0, len(command), room):
        piece = command[start : start + room]
        control = 0x03 if start + room >= len(command) else 0x01
        parts.append(struct.pack(">BBIIBB", 4, 0, len(piece) + 6, len(piece) + 2, context_id, control) + piece)
    return b"".join(parts)


def _number(elements: dict[int, bytes], element: int) -> int:
    value = elements.get(element, b"\0\0")
    return int(struct.unpack_from("<H", value)[0])


def _short(element: int, value: int) -> bytes:
    return struct.pack("<HHIH", 0, element, 2, value)


def _text(element: int, text: str, padding: str) -> bytes:
    value = text.encode("ascii", "replace")
    value += padding.encode() * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value
