"""Frames and bulk data of one instance, as they are stored; nothing is decoded or encoded anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError

from app.web.dicomweb.accept import OCTETS
from app.web.dicomweb.model import BULKY, PIXEL_DATA
from bundles.common.elements import PARSE_ERRORS, integer, text
from bundles.common.headers import PIXEL_TAGS, UnreadableImage, read_header

MOST_FRAMES: Final = 1000
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE, "1.2.840.10008.1.2.1.99"})
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Media types of compressed frames (PS3.18 table 8.7.3-5)."""


class NoFrames(Exception):
    """The instance has no such frames; the message says why."""


class NotThatWay(Exception):
    """It has them, and not as they were asked for; the message says how to ask."""


def kind_of(transfer_syntax_uid: str) -> tuple[str, str]:
    """Media type and transfer syntax in which frames of a stored instance are given.

    Raises:
        NotThatWay: They cannot be given at all.
    """
    if transfer_syntax_uid in NATIVE:
        return OCTETS, EXPLICIT_LITTLE
    if transfer_syntax_uid in MEDIA_TYPES:
        return MEDIA_TYPES[transfer_syntax_uid], transfer_syntax_uid
    words = "big endian" if transfer_syntax_uid == _BIG_ENDIAN else f"transfer syntax {transfer_syntax_uid}"
    raise NotThatWay(f"its pixels are stored in {words}; fetch the whole instance instead")


def frames(path: Path, numbers: Sequence[int]) -> list[bytes]:
    """Frames of an instance.

    Args:
        path: Its file.
        numbers: From 1.

    Raises:
        NoFrames: It has no pixels, or fewer frames, or they are damaged.
        NotThatWay: Its frames do not begin at bytes.
    """
    try:
        header = read_header(path)
    except UnreadableImage as error:
        raise NoFrames("the instance cannot be read") from error
    count = integer(header.dataset, "NumberOfFrames") or 1
    if not numbers or len(numbers) > MOST_FRAMES or not all(1 <= number <= count for number in numbers):
        raise NoFrames(f"it has frames 1 to {count}; at most {MOST_FRAMES} may be asked for at once")
    if text(header.dataset.file_meta, "TransferSyntaxUID") in MEDIA_TYPES:
        return _compressed(path, count, numbers)
    size = _frame_bytes(header.dataset)
    if header.problem is not None and header.pixel_bytes is None:
        raise NoFrames("it has no pixels, or they are damaged")
    if header.pixels_at is None:
        pixels = _pixels(path)
        return [_whole(pixels[(number - 1) * size : number * size], size) for number in numbers]
    with path.open("rb") as file:
        found = []
        for number in numbers:
            file.seek(header.pixels_at + (number - 1) * size)
            found.append(_whole(file.read(size), size))
        return found


def bulk(path: Path, tag: int) -> bytes:
    """The bytes of one element of the top level, as they are stored.

    Raises:
        NoFrames: It has no such element, or none of bytes.
    """
    if tag in PIXEL_TAGS:
        return _pixels(path, tag)
    element = _dataset(path).get_item(tag)
    content = element.value if element is not None and element.VR in BULKY else None
    if not isinstance(content, bytes):
        raise NoFrames("it has no binary value there; the metadata list them as BulkDataURI")
    return content


def _frame_bytes(dataset: FileDataset) -> int:
    rows, columns, bits = (integer(dataset, keyword) or 0 for keyword in ("Rows", "Columns", "BitsAllocated"))
    total = rows * columns * bits * (integer(dataset, "SamplesPerPixel") or 1)
    if total <= 0:
        raise NoFrames("it is no image: Rows, Columns or BitsAllocated are missing")
    if total % 8:
        raise NotThatWay("its frames of single bits do not begin at bytes; fetch the whole instance instead")
    return total // 8


def _compressed(path: Path, count: int, numbers: Sequence[int]) -> list[bytes]:
    pixels = _pixels(path)
    try:
        return [get_frame(pixels, number - 1, number_of_frames=count) for number in numbers]
    except PARSE_ERRORS as error:
        raise NoFrames("its compressed pixels are damaged") from error


def _pixels(path: Path, tag: int = PIXEL_DATA) -> bytes:
    value = getattr(_dataset(path).get_item(tag), "value", None)
    if not isinstance(value, bytes):
        raise NoFrames("it has no pixels")
    return value


def _dataset(path: Path) -> FileDataset:
    try:
        return dcmread(path)
    except (InvalidDicomError, OSError, *PARSE_ERRORS) as error:
        raise NoFrames("the instance cannot be read") from error


def _whole(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise NoFrames("its pixels are damaged: fewer bytes than its header claims")
    return content
