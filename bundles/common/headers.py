"""Headers of DICOM images: one file into the frames it holds, without touching its pixels.

Imported by the reader of pixels and by the service's assembling, so that both see the same stacks.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from bundles.common.elements import PARSE_ERRORS, integer, item, numbers, text
from bundles.common.geometry import Vector

MAX_INFLATED_BYTES = 1024**3
MAX_FRAMES = 100_000
PIXEL_DATA = 0x7FE00010
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, PIXEL_DATA)
UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, SEQUENCE_DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
Orientation = tuple[float, float, float, float, float, float]
PROJECTION_MODALITIES = frozenset({"CR", "DX", "RG"})
PROJECTION_CLASSES = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
"""Radiographs, whatever they are stored as: a secondary capture that says CR is one too."""


class UnreadableImage(ValueError):
    """An image that cannot be used as it is. The message names file and instance number, never the patient."""


@dataclass(frozen=True, slots=True)
class Header:
    """The data set of one file up to its pixels.

    Attributes:
        path: The file.
        dataset: Every element before the pixel data.
        problem: Why its pixels cannot be read, as far as the header tells: none there, or fewer bytes than claimed.
        pixel_bytes: How long the pixel data element claims to be; None for compressed pixels, or where there are none.
        pixels_at: Where in the file its integer pixels begin, bytes; None for compressed or deflated ones.
    """

    path: Path
    dataset: FileDataset
    problem: str | None = None
    pixel_bytes: int | None = None
    pixels_at: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One two-dimensional image: an instance, or one frame of a multi-frame instance.

    Attributes:
        path, index: The file and the frame within it, from 0.
        sop_instance_uid, series_uid, modality: As in the file, "" where absent.
        instance_number: InstanceNumber (0020,0013), plus the index in a multi-frame image; for words and for order
            where there is no geometry.
        rows, columns: Pixels.
        orientation: ImageOrientationPatient, None where absent or no pair of perpendicular unit vectors.
        origin: ImagePositionPatient, LPS millimetres.
        pixel_spacing_mm: (between rows, between columns), None where absent or not positive.
        thickness_mm: SliceThickness, None where absent or not positive.
        localizer: Whether ImageType says LOCALIZER.
        projection: Whether it is a radiograph, by modality or SOP class: an image by itself, no slice of anything.
    """

    path: Path
    index: int
    sop_instance_uid: str
    series_uid: str
    modality: str
    instance_number: int | None
    rows: int
    columns: int
    orientation: Orientation | None
    origin: Vector | None
    pixel_spacing_mm: tuple[float, float] | None
    thickness_mm: float | None
    localizer: bool
    projection: bool = False

    @property
    def located(self) -> bool:
        """Whether the frame has a place in the patient."""
        return self.orientation is not None and self.origin is not None and self.pixel_spacing_mm is not None


FRAME_KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SliceThickness",
    "ImagerPixelSpacing",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "PixelSpacing",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def read_header(path: Path, keywords: Sequence[str] | None = None) -> Header:
    """Read a DICOM file up to its pixel data.

    Args:
        path: The file, DICOM PS3.10, any transfer syntax.
        keywords: Only these elements; None for all.

    Raises:
        UnreadableImage: Not there, not DICOM, corrupt, or deflated beyond 1 GiB.
    """
    met: list[tuple[int, int, bool]] = []
    tags = _tags(tuple(keywords)) if keywords else None

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_TAGS:
            met.append((8 if vr is None else 12, length, int(tag) == PIXEL_DATA and vr in {None, "OW", "OB"}))
            return True
        return False

    try:
        with path.open("rb") as file:
            _refuse_inflation(file, path)
            dataset = read_partial(file, stop_when=at_pixels, specific_tags=tags)
            start = file.tell() + (met[0][0] if met else 0)
            problem = _pixel_problem(file, dataset, path, start, met[0][1] if met else None)
    except UnreadableImage:
        raise
    except InvalidDicomError as error:
        raise UnreadableImage(f"{path.name}: not a DICOM file") from error
    except OSError as error:
        raise UnreadableImage(f"{path.name}: {error.strerror or 'cannot be read'}") from error
    except PARSE_ERRORS as error:
        raise UnreadableImage(f"{path.name}: the DICOM header is corrupt ({type(error).__name__})") from error
    claimed = met[0][1] if met and met[0][1] != UNDEFINED_LENGTH else None
    deflated = text(dataset.file_meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    return Header(
        path, dataset, problem, claimed, start if claimed is not None and met[0][2] and not deflated else None
    )


@cache
def _tags(keywords: tuple[str, ...]) -> list[BaseTag | int]:
    """Looked up once: for a series it takes a tenth of the time."""
    return [Tag(keyword) for keyword in keywords]


def _pixel_problem(file: BinaryIO, dataset: FileDataset, path: Path, start: int, length: int | None) -> str | None:
    """Compare what the pixel data element claims with what the file holds from its start on, without reading it."""
    where = InstanceName(path, dataset)
    if length is None:
        return f"{where}: no pixel data; the file was cut off or never held an image"
    if text(dataset.file_meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return None  # its positions are those of the inflated data; decoding tells
    size = path.stat().st_size
    if length == UNDEFINED_LENGTH:
        return None if _fragments_end(file, start, size) else f"{where}: truncated in its compressed pixel data"
    held = size - start
    return None if held >= length else f"{where}: truncated, {held} of {length} bytes of pixel data"


def _fragments_end(file: BinaryIO, start: int, size: int) -> bool:
    """Step over the fragments of encapsulated pixel data (PS3.5 A.4) to the delimiter that ends them."""
    while start + 8 <= size:
        file.seek(start)
        tag, length = struct.unpack("<4sI", file.read(8))
        if tag == SEQUENCE_DELIMITER:
            return True
        if tag != ITEM or length == UNDEFINED_LENGTH:
            return False
        start += 8 + length
    return False


def frames_of(header: Header) -> tuple[Frame, ...]:
    """List the frames of an image file, whether its pixels can be read or not; () for an object that is no image.

    Raises:
        UnreadableImage: It is an image by SOP class or by its rows and columns, and lacks size or UIDs.
    """
    dataset, path = header.dataset, header.path
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    if rows is None and "Image Storage" not in UID(text(dataset, "SOPClassUID")).name:
        return ()
    where = InstanceName(path, dataset)
    if rows is None and header.problem is not None:
        raise UnreadableImage(header.problem)
    if rows is None or columns is None or rows < 1 or columns < 1:
        raise UnreadableImage(f"{where}: Rows {rows} and Columns {columns} are no size of an image")
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not text(dataset, keyword):
            raise UnreadableImage(f"{where}: {keyword} is missing")
    count = integer(dataset, "NumberOfFrames")
    count = 1 if count is None else count
    if not 1 <= count <= MAX_FRAMES:
        raise UnreadableImage(f"{where}: NumberOfFrames {count} is beyond reason")
    shared = item(dataset, "SharedFunctionalGroupsSequence", 0)
    return tuple(_frame(dataset, path, rows, columns, index, count, shared) for index in range(count))


@dataclass(frozen=True, slots=True)
class InstanceName:
    """Names an instance for people, by file name and instance number: looked up only where a sentence is written."""

    path: Path
    dataset: Dataset

    def __str__(self) -> str:
        """As it stands in sentences."""
        number = integer(self.dataset, "InstanceNumber")
        return self.path.name if number is None else f"{self.path.name} (instance number {number})"


def _frame(  # noqa: PLR0917
    dataset: Dataset, path: Path, rows: int, columns: int, index: int, count: int, shared: Dataset | None
) -> Frame:
    own = item(dataset, "PerFrameFunctionalGroupsSequence", index)

    def find(group: str, keyword: str) -> tuple[float, ...]:
        return (
            numbers(item(own, group, 0), keyword)
            or numbers(item(shared, group, 0), keyword)
            or numbers(dataset, keyword)
        )

    number = integer(dataset, "InstanceNumber")
    spacing = find("PixelMeasuresSequence", "PixelSpacing") or numbers(dataset, "ImagerPixelSpacing")
    thickness = find("PixelMeasuresSequence", "SliceThickness")
    position = find("PlanePositionSequence", "ImagePositionPatient")
    return Frame(
        path=path,
        index=index,
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        modality=text(dataset, "Modality"),
        instance_number=number if count == 1 or number is None else number + index,
        rows=rows,
        columns=columns,
        orientation=_orientation(find("PlaneOrientationSequence", "ImageOrientationPatient")),
        origin=(position[0], position[1], position[2]) if len(position) == 3 else None,
        pixel_spacing_mm=(spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
        thickness_mm=thickness[0] if len(thickness) == 1 and thickness[0] > 0 else None,
        localizer="LOCALIZER" in text(dataset, "ImageType").upper(),
        projection=_is_projection(dataset),
    )


def _is_projection(dataset: Dataset) -> bool:
    return (
        text(dataset, "Modality").upper() in PROJECTION_MODALITIES or text(dataset, "SOPClassUID") in PROJECTION_CLASSES
    )


def _orientation(values: tuple[float, ...]) -> Orientation | None:
    """Return six cosines as two unit vectors, None where they are no perpendicular pair (tolerance 0.01: 0.6°)."""
    if len(values) != 6:
        return None
    row, column = values[:3], values[3:]
    lengths = [sum(part * part for part in vector) ** 0.5 for vector in (row, column)]
    if any(abs(length - 1) > 0.01 for length in lengths):
        return None
    if abs(sum(a * b for a, b in zip(row, column, strict=True))) > 0.01:
        return None
    unit = [part / lengths[0] for part in row] + [part / lengths[1] for part in column]
    return (unit[0], unit[1], unit[2], unit[3], unit[4], unit[5])


def _refuse_inflation(file: BinaryIO, path: Path) -> None:
    """Refuse a deflated file that grows beyond reason before pydicom inflates it as a whole."""
    head = file.read(132)
    file.seek(0)
    if head[128:] != b"DICM":
        raise InvalidDicomError
    file.seek(0)
    # Only deflated files are inflated here; the test on raw bytes spares all others a second parse of their meta group.
    if DeflatedExplicitVRLittleEndian.encode() not in file.read(2048):
        file.seek(0)
        return
    file.seek(132)
    # Not by FileMetaInformationGroupLength, which may be missing or wrong: pydicom, which reads next, ignores it too.
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2)
    if text(meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while chunk := inflater.unconsumed_tail or file.read(1 << 16):
            total += len(inflater.decompress(chunk, 1 << 24))
            if total > MAX_INFLATED_BYTES:
                raise UnreadableImage(f"{path.name}: deflated data grow beyond {MAX_INFLATED_BYTES} bytes")
    file.seek(0)
