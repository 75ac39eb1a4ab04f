"""The head of a DICOM file (PS3.10 section 7.1): what C-STORE tells by its command, read from what came so far."""

import struct
from dataclasses import dataclass
from typing import Final

from app.receive.dataset import LONG_VRS, UnintelligibleError, uid_text

PREAMBLE: Final = 128
PREFIX: Final = b"DICM"
ZIP: Final = b"PK\x03\x04"
EMPTY_ZIP: Final = b"PK\x05\x06"
LONGEST: Final = 1 << 20
"""More than any file meta information holds; bounds what is kept in memory."""

_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010


class NotDicomError(Exception):
    """A file that is something else. The message fits in a table."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """What the file meta information says; "" where the element is absent.

    Attributes:
        sop_class_uid: MediaStorageSOPClassUID (0002,0002).
        sop_instance_uid: MediaStorageSOPInstanceUID (0002,0003).
        transfer_syntax_uid: (0002,0010).
        length: Bytes before the data set.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length: int


def read_head(data: bytes | bytearray, *, whole: bool) -> FileHead | None:
    """Read the head of a file.

    Args:
        data: The file from its begin, as far as it has come.
        whole: Whether that is all of it.

    Returns:
        None where more of it is needed.

    Raises:
        NotDicomError: It does not begin as a DICOM file does.
        UnintelligibleError: Its file meta information is broken off, or longer than 1 MB.
    """
    if len(data) < PREAMBLE + len(PREFIX):
        if not whole:
            return None
        raise NotDicomError("no DICOM file: shorter than its preamble" if data else "an empty file")
    if data[PREAMBLE : PREAMBLE + len(PREFIX)] != PREFIX:
        raise NotDicomError("no DICOM file: 'DICM' is missing after 128 bytes")
    found: dict[int, str] = {}
    offset = PREAMBLE + len(PREFIX)
    while True:
        step = _element(data, offset)
        if step is None:
            break
        element, start, end = step
        if element < 0:
            return FileHead(
                found.get(_SOP_CLASS, ""), found.get(_SOP_INSTANCE, ""), found.get(_TRANSFER_SYNTAX, ""), offset
            )
        if element in {_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX}:
            found[element] = uid_text(data[start:end])
        offset = end
    if whole and offset == len(data):
        raise UnintelligibleError("empty data set")
    if whole or len(data) > LONGEST:
        raise UnintelligibleError("file meta information is broken off, or too long")
    return None


def _element(data: bytes | bytearray, offset: int) -> tuple[int, int, int] | None:
    """Number, begin and end of the element of group 0002 at an offset; number -1 where the data set begins there; None
    where the element has not come wholly.
    """
    if len(data) < offset + 8:
        return None
    group, element, vr, length = struct.unpack_from("<HH2sH", data, offset)
    if group != 0x0002:
        return -1, offset, offset
    start = offset + 8
    if vr in LONG_VRS:
        if len(data) < offset + 12:
            return None
        (length,) = struct.unpack_from("<I", data, offset + 8)
        start = offset + 12
    end = start + length
    return (element, start, end) if end <= len(data) else None
