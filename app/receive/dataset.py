"""Who an encoded data set says it is, and the file header that goes before it (DICOM PS3.5 §7, PS3.10 §7.1).

Reads no more than the elements up to StudyInstanceUID (0020,000D), and never a pixel: a hand-written walk costs some
50 µs an object where a general parser costs a millisecond.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from app.study import uid_hash

IMPLEMENTATION_CLASS_UID: Final = "2.25.187432659071435508214360928417560239571"
IMPLEMENTATION_VERSION: Final = "VIGIL_0_1"

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_INSTANCE_UID: Final = 0x0020000D

_IMPLICIT: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.20", "1.2.840.113619.5.2"})
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_MAX_DEPTH: Final = 32
_MAX_INFLATED: Final = 4 << 20  # headers end long before; bounds what a deflate bomb may cost
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")

Buffer = bytes | bytearray | memoryview


class UnintelligibleError(Exception):
    """A data set that cannot be filed. The message holds no value of it, and fits an ErrorComment (64 characters)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a data set says it is; "" where the element is absent."""

    study_instance_uid: str
    sop_instance_uid: str

    @property
    def hashes(self) -> tuple[str, str]:
        """By what the spool knows study and image."""
        return uid_hash(self.study_instance_uid), uid_hash(self.sop_instance_uid)


def is_uid(text: str) -> bool:
    """Whether `text` can be a UID: digits and dots, at most 64 (PS3.5 §9.1; leading zeros occur and are let pass)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def uid_text(value: Buffer) -> str:
    """Decode a UI value without its padding; bytes outside ASCII become U+FFFD, which no UID holds."""
    return bytes(value).decode("ascii", "replace").strip("\0 ")


def identify(data: Buffer, transfer_syntax_uid: str) -> Identity:
    """Read StudyInstanceUID and SOPInstanceUID of an encoded data set.

    Args:
        data: The data set as it was received, without preamble and file meta information.
        transfer_syntax_uid: How it is encoded.

    Raises:
        UnintelligibleError: The elements up to (0020,000D) cannot be walked in that transfer syntax.
    """
    if transfer_syntax_uid in _DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _MAX_INFLATED)
        except zlib.error as error:
            raise UnintelligibleError("data set cannot be inflated") from error
    explicit = transfer_syntax_uid not in _IMPLICIT
    walk = _Walk(memoryview(data), ">" if transfer_syntax_uid == _BIG_ENDIAN else "<")
    try:
        found = walk.find({SOP_INSTANCE_UID, STUDY_INSTANCE_UID}, STUDY_INSTANCE_UID, explicit=explicit)
    except struct.error as error:
        raise UnintelligibleError("data set ends within its header") from error
    return Identity(found.get(STUDY_INSTANCE_UID, ""), found.get(SOP_INSTANCE_UID, ""))


class _Walk:
    """Steps through the elements of one data set. Reading past the end raises `struct.error`."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data = data
        self._order = order
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")

    def find(self, wanted: set[int], last: int, *, explicit: bool) -> dict[int, str]:
        """Collect the wanted UIDs of the top level, up to the tag `last`."""
        found: dict[int, str] = {}
        offset, end = 0, len(self._data)
        while offset < end:
            tag, length, value, implicit_inside = self._header(offset, explicit=explicit)
            if tag > last:
                break
            if length == _UNDEFINED:
                offset = self._skip_items(value, 1, explicit=explicit and not implicit_inside)
                continue
            offset = value + length
            if offset > end:
                raise UnintelligibleError("data set ends within its header")
            if tag in wanted:
                found[tag] = uid_text(self._data[value:offset])
                if tag == last:
                    break
        return found

    def _header(self, offset: int, *, explicit: bool) -> tuple[int, int, int, bool]:
        """Read one element's tag, length, offset of its value, and whether its items are implicit (PS3.5 §6.2.2)."""
        group, element = self._tag.unpack_from(self._data, offset)
        tag = group << 16 | element
        if not explicit or group == 0xFFFE:
            return tag, self._long.unpack_from(self._data, offset + 4)[0], offset + 8, False
        vr = bytes(self._data[offset + 4 : offset + 6])
        if vr in LONG_VRS:
            return tag, self._long.unpack_from(self._data, offset + 8)[0], offset + 12, vr == b"UN"
        if not (vr.isalpha() and vr.isupper()):
            raise UnintelligibleError("data set is not in its transfer syntax")
        return tag, self._short.unpack_from(self._data, offset + 6)[0], offset + 8, False

    def _skip_items(self, offset: int, depth: int, *, explicit: bool) -> int:
        """Return the offset behind a sequence of undefined length."""
        if depth > _MAX_DEPTH:
            raise UnintelligibleError("sequences nested too deep")
        while True:
            tag, length, offset, _ = self._header(offset, explicit=False)
            if tag == _SEQUENCE_END:
                return offset
            if tag != _ITEM:
                raise UnintelligibleError("sequence without items")
            offset = self._skip_elements(offset, depth, explicit=explicit) if length == _UNDEFINED else offset + length

    def _skip_elements(self, offset: int, depth: int, *, explicit: bool) -> int:
        """Return the offset behind an item of undefined length."""
        while True:
            tag, length, offset, implicit_inside = self._header(offset, explicit=explicit)
            if tag == _ITEM_END:
                return offset
            if length == _UNDEFINED:
                offset = self._skip_items(offset, depth + 1, explicit=explicit and not implicit_inside)
            else:
                offset += length


def file_header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae: str) -> bytes:
    """Encode preamble, prefix and file meta information, always explicit VR little endian (PS3.10 §7.1)."""
    elements = b"".join(
        (
            struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\x00\x01",
            _meta(0x0002, b"UI", sop_class_uid),
            _meta(0x0003, b"UI", sop_instance_uid),
            _meta(0x0010, b"UI", transfer_syntax_uid),
            _meta(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _meta(0x0013, b"SH", IMPLEMENTATION_VERSION),
            _meta(0x0016, b"AE", calling_ae),
        )
    )
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements))
    return b"\0" * 128 + b"DICM" + length + elements


def _meta(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value
