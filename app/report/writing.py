"""A data set as the bytes of a file, its long sequences written by a short way (PS3.5 7.1.2, 7.5).

pydicom's writer takes tens of microseconds for each element; a study of 300 slices has ten thousand in sequences. Here
the plain ones are written directly, everything else by pydicom. The bytes are the same, which a test holds.
"""

import struct
from collections.abc import Iterator
from io import BytesIO

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

LONG = (
    "ContentSequence",
    "CurrentRequestedProcedureEvidenceSequence",
    "PerFrameFunctionalGroupsSequence",
    "ReferencedSeriesSequence",
    "SourceInstanceSequence",
    "GraphicAnnotationSequence",
)
NUMBERS = {"US": "<H", "UL": "<I"}
PADDED = {"UI": b"\0", "CS": b" ", "SH": b" ", "LO": b" "}
ELSEWHERE = {"DS", "IS", "ST", "LT", "UT", "FL", "FD", "DA", "TM", "DT", *NUMBERS, *PADDED}
"""Written by pydicom the same way in every data set; others depend on what stands around them."""
TEXT = {"LO", "SH", "PN", "CS"}
"""VRs of what a result is filed by; short ones, so that their length has 16 bits."""
ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
LONGEST = 0xFFFE
META_LENGTH_AT = 140
"""Where the length of the file meta information stands (PS3.10 7.1)."""
LONG_FORM = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""VRs with a length of 32 bits (PS3.5 7.1.2)."""


class _Unusual(Exception):
    """Something that is left to pydicom."""


def file_bytes(data_set: Dataset) -> bytes:
    """Encode a data set with its file meta information; explicit VR little endian.

    Elements that nobody has decoded, as those of the patient are, keep their bytes whatever character set they claim:
    pydicom writes text that does not fit as replaced characters, and the result would not join its patient.

    Its long sequences are taken out: the data set is not to be used any more.
    """
    contents = _as_sent(data_set)
    for keyword in LONG:
        if keyword not in data_set:
            continue
        element = data_set.get_item(keyword)
        if isinstance(element, DataElement) and not element.is_undefined_length:
            try:
                contents[int(element.tag)] = b"".join(map(_item, element.value))
            except _Unusual:
                continue
            data_set[element.tag] = DataElement(element.tag, "SQ", [])
    buffer = BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return b"".join(_filled(memoryview(buffer.getbuffer()), contents))


def _as_sent(data_set: Dataset) -> dict[int, bytes]:
    """The bytes of text that was taken over from an image undecoded, by tag."""
    found = {}
    for tag in data_set.keys():  # noqa: SIM118  iterating over the data set would decode its elements
        element: object = data_set.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR in TEXT and isinstance(element.value, bytes):
            found[int(tag)] = element.value + b" " * (len(element.value) % 2)
    return found


def _filled(content: memoryview, contents: dict[int, bytes]) -> Iterator[bytes | memoryview]:
    """The file, with each element of the top level that has a content here given it."""
    (meta,) = struct.unpack_from("<I", content, META_LENGTH_AT)
    written, at = 0, META_LENGTH_AT + 4 + meta
    while at < len(content):
        group, number = struct.unpack_from("<HH", content, at)
        if bytes(content[at + 4 : at + 6]) in LONG_FORM:
            (length,) = struct.unpack_from("<I", content, at + 8)
            start = at + 12
        else:
            (length,) = struct.unpack_from("<H", content, at + 6)
            start = at + 8
        inside = contents.pop(group << 16 | number, None)
        if inside is not None:
            room = "<I" if bytes(content[at + 4 : at + 6]) in LONG_FORM else "<H"
            yield content[written : start - struct.calcsize(room)]
            yield struct.pack(room, len(inside))
            yield inside
            written = start + length
        at = start + length
    yield content[written:]


def _item(data_set: Dataset) -> bytes:
    content = b"".join(_element(data_set.get_item(tag)) for tag in sorted(data_set.keys()))
    return ITEM + struct.pack("<I", len(content)) + content


def _element(element: DataElement | RawDataElement) -> bytes:
    if not isinstance(element, DataElement) or element.is_undefined_length:
        raise _Unusual
    vr = element.VR
    head = struct.pack("<HH", element.tag.group, element.tag.element) + vr.encode("ascii")
    if vr == "SQ":
        items = b"".join(map(_item, element.value))
        return head + struct.pack("<HI", 0, len(items)) + items
    content = _plain(vr, element.value)
    if content is None:
        return _by_pydicom(element)
    return head + struct.pack("<H", len(content)) + content


def _plain(vr: str, value: object) -> bytes | None:
    """The bytes of a single value; None for one that is left to pydicom."""
    if vr in PADDED and isinstance(value, str) and value.isascii():
        text = value.encode("ascii")
        return text + PADDED[vr] * (len(text) % 2) if len(text) < LONGEST else None
    if vr in NUMBERS and isinstance(value, int):
        return struct.pack(NUMBERS[vr], value)
    return None


def _by_pydicom(element: DataElement) -> bytes:
    if element.VR not in ELSEWHERE:
        raise _Unusual
    if isinstance(element.value, str) and not element.value.isascii():
        raise _Unusual
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element)
    content: bytes = buffer.getvalue()
    return content
