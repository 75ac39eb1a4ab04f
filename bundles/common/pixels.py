"""Stored pixels of one DICOM image into numbers with a meaning: HU for CT, rescaled values for the rest.

Modality LUT: DICOM PS3.3 C.11.1. Pixel padding: C.7.5.1.1.2. MONOCHROME1: C.7.6.3.1.2. PresentationLUTShape: C.11.6.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bundles.common.codestream import claimed_size, ends_early
from bundles.common.decoding import decode_frame
from bundles.common.elements import PARSE_ERRORS, integer, is_stated, item, numbers, text, value_of
from bundles.common.headers import Header, InstanceName, UnreadableImage

Units = Literal["HU", "stored"]
AIR_HU = -1000.0
PHYSICAL_MODALITIES = frozenset({"CT", "MR", "PT", "NM"})
"""Where values mean something whatever the display; MONOCHROME1 then inverts the display, not the values."""
GREY = ("MONOCHROME1", "MONOCHROME2")
CONTRADICTIONS = frozenset({("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")})
"""What DX forbids (PS3.3 C.8.11.3) and some systems write. Viewers differ; whatever says "inverted" is believed."""
MAX_SIDE = 32_768


@dataclass(frozen=True, slots=True)
class Meaning:
    """What stored values stand for.

    Attributes:
        units: "HU", or "stored" where values have no common unit.
        photometric: PhotometricInterpretation.
        notes: What was odd, in words.
        inverted: Whether the stored values are turned, so that what is shown bright becomes high. MONOCHROME1 and
            PresentationLUTShape INVERSE say the same thing, and together they turn once (PS3.3 C.8.11.3).
    """

    units: Units
    photometric: str
    notes: tuple[str, ...] = ()
    inverted: bool = False


def open_image(path: Path) -> Dataset:
    """Read a whole DICOM file, pixel data undecoded.

    Raises:
        UnreadableImage: It is not DICOM or corrupt.
    """
    try:
        return pydicom.dcmread(path)
    except (InvalidDicomError, OSError) as error:
        raise UnreadableImage(f"{path.name}: not a readable DICOM file") from error
    except PARSE_ERRORS as error:
        raise UnreadableImage(f"{path.name}: the DICOM data set is corrupt ({type(error).__name__})") from error


def is_compressed(syntax: UID) -> bool:
    """Tell whether pixel data are encapsulated; an unknown transfer syntax is refused where it is decoded."""
    return bool(syntax.is_transfer_syntax and syntax.is_encapsulated)


def meaning_of(dataset: Dataset, path: Path) -> Meaning:
    """Tell units and photometric interpretation of an image.

    Raises:
        UnreadableImage: Colour; CT without rescale tags, whose Hounsfield units nobody can tell.
    """
    where = InstanceName(path, dataset)
    photometric = text(dataset, "PhotometricInterpretation").upper()
    if photometric not in GREY or integer(dataset, "SamplesPerPixel") not in {1, None}:
        raise UnreadableImage(f"{where}: {photometric or 'no PhotometricInterpretation'}; only grey images are read")
    modality, notes = text(dataset, "Modality"), []
    units: Units = "stored"
    if modality == "CT":
        kind = (text(dataset, "RescaleType") or text(_group(dataset, 0), "RescaleType")).upper()
        units = "HU" if kind in {"", "HU", "HU_MOD", "US"} else "stored"
        if units == "stored":
            notes.append(f"RescaleType is {kind}: values are not Hounsfield units")
    shape = text(dataset, "PresentationLUTShape").upper()
    dark_is_high = photometric == "MONOCHROME1" or shape == "INVERSE"
    inverted = dark_is_high and modality not in PHYSICAL_MODALITIES
    if dark_is_high:
        said = "MONOCHROME1" if photometric == "MONOCHROME1" else "PresentationLUTShape INVERSE"
        notes.append(f"{said}, inverted" if inverted else f"{said}, values kept because they are physical")
    if inverted and (photometric, shape) in CONTRADICTIONS:
        notes.append(f"{photometric} and PresentationLUTShape {shape} contradict each other: it may be the wrong way")
    return Meaning(units, photometric, tuple(notes), inverted)


NATIVE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})
PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
)
"""What `read_frame` asks of a header beside `bundles.common.headers.FRAME_KEYWORDS`."""


def is_native(header: Header) -> bool:
    """Whether pixels lie in the file as they are, 16 bits each: a header with `PIXEL_KEYWORDS` is then all it takes."""
    dataset = header.dataset
    return (
        header.pixels_at is not None
        and UID(text(dataset.file_meta, "TransferSyntaxUID")) in NATIVE
        and integer(dataset, "BitsAllocated") == 16
        and integer(dataset, "SamplesPerPixel") == 1
        and integer(dataset, "PixelRepresentation") in {0, 1}
    )


def native_frame(header: Header, index: int) -> NDArray[np.integer]:
    """Stored values (rows, columns) of one frame of a file that `is_native`, straight from the file.

    As pydicom does, bits above BitsStored are dropped, and the sign is taken from the highest of those stored.

    Raises:
        UnreadableImage: As for `read_frame`.
    """
    dataset, path = header.dataset, header.path
    where = InstanceName(path, dataset)
    rows, columns = _size(dataset, where)
    _check_bits(dataset, where)
    _check_length(dataset, header.pixel_bytes or 0, rows, columns, where)
    kind, start = "<i2" if integer(dataset, "PixelRepresentation") else "<u2", header.pixels_at or 0
    try:
        values = np.fromfile(path, kind, rows * columns, offset=start + 2 * rows * columns * index)
    except OSError as error:
        raise UnreadableImage(f"{where}: {error.strerror or 'cannot be read'}") from error
    if len(values) < rows * columns:
        raise UnreadableImage(f"{where}: truncated in its pixel data")
    if unused := 16 - (integer(dataset, "BitsStored") or 16):
        np.left_shift(values, unused, out=values)
        np.right_shift(values, unused, out=values)
    return values.reshape(rows, columns)


def read_frame(  # noqa: PLR0917
    dataset: Dataset,
    index: int,
    path: Path,
    out: NDArray[np.float32],
    stored: NDArray[np.integer] | None = None,
    meaning: Meaning | None = None,
) -> None:
    """Decode one frame and write its meaning into `out`.

    Args:
        dataset: As `open_image` returned it; where `stored` is given, a header is enough.
        index: Frame, from 0.
        path: For words.
        out: Shape (rows, columns), float32; HU for CT, else rescaled values with bright meaning high.
        stored: Its stored values, where `native_frame` has read them.
        meaning: What `meaning_of` said, where it was asked before.

    Raises:
        UnreadableImage: With the instance number and what was wrong.
    """
    where = InstanceName(path, dataset)
    stored = _decode(dataset, index, where) if stored is None else stored
    if stored.shape != out.shape:
        raise UnreadableImage(
            f"{where}: decoded to {stored.shape[0]}×{stored.shape[1]} pixels, its header says {out.shape}"
        )
    padding = _padding(dataset, stored)
    meaning = meaning or meaning_of(dataset, path)
    short = stored.dtype.itemsize <= 2 and (integer(dataset, "BitsStored") or 0) <= 16
    if meaning.inverted:
        low, high = _stored_range(dataset, stored)
        stored = np.subtract(low + high, stored, dtype=np.int32 if short else np.int64)
    _rescale(dataset, index, stored, out, where, short=short)
    if padding is not None:
        out[padding] = (
            AIR_HU if meaning.units == "HU" else out[~padding].min(initial=np.inf) if not padding.all() else 0
        )


def _decode(dataset: Dataset, index: int, where: InstanceName) -> NDArray[np.integer]:
    syntax = UID(text(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID"))
    rows, columns = _size(dataset, where)
    data = value_of(dataset, "PixelData")
    if not isinstance(data, bytes) or not data:
        raise UnreadableImage(f"{where}: no integer pixel data")
    _check_bits(dataset, where)
    if not is_compressed(syntax):
        _check_length(dataset, len(data), rows, columns, where)
    elif claimed_size(data[:65536]) not in {None, (rows, columns)}:
        raise UnreadableImage(f"{where}: its compressed image is of another size than Rows and Columns say")
    try:
        codestream = _codestream(dataset, data, index) if is_compressed(syntax) else None
        # Asked first: libjpeg takes many seconds over a JPEG-LS image that was cut off, however small it is.
        cut_off = codestream is not None and ends_early(codestream)
        array = None if cut_off else decode_frame(dataset, syntax, index, codestream)
    except (*PARSE_ERRORS, RuntimeError, OSError) as error:
        raise UnreadableImage(
            f"{where}: its pixel data cannot be decoded ({syntax.name}, truncated or corrupt)"
        ) from error
    if array is None:
        raise UnreadableImage(f"{where}: its compressed pixel data end early ({syntax.name}, truncated)")
    return array


def _size(dataset: Dataset, where: InstanceName) -> tuple[int, int]:
    rows, columns = integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        raise UnreadableImage(f"{where}: {rows} rows and {columns} columns; at most {MAX_SIDE} are read")
    return rows, columns


def _codestream(dataset: Dataset, data: bytes, index: int) -> bytes:
    """Return one frame of encapsulated pixel data."""
    tables = value_of(dataset, "ExtendedOffsetTable"), value_of(dataset, "ExtendedOffsetTableLengths")
    offsets = tables if isinstance(tables[0], bytes) and isinstance(tables[1], bytes) else None
    return get_frame(data, index, extended_offsets=offsets, number_of_frames=integer(dataset, "NumberOfFrames") or 1)


def _check_bits(dataset: Dataset, where: InstanceName) -> None:
    allocated, stored = integer(dataset, "BitsAllocated"), integer(dataset, "BitsStored")
    high = integer(dataset, "HighBit")
    if allocated not in {1, 8, 16, 32} or stored is None or not 0 < stored <= allocated:
        raise UnreadableImage(f"{where}: BitsAllocated {allocated} with BitsStored {stored} is no valid pixel")
    if high is not None and high != stored - 1:
        raise UnreadableImage(f"{where}: HighBit {high} with BitsStored {stored}; DICOM wants {stored - 1}")


def _check_length(dataset: Dataset, length: int, rows: int, columns: int, where: InstanceName) -> None:
    frames = integer(dataset, "NumberOfFrames") or 1
    expected = (rows * columns * frames * (integer(dataset, "BitsAllocated") or 16) + 7) // 8
    if length < expected:
        raise UnreadableImage(f"{where}: truncated, {length} of {expected} bytes of pixel data")


def _stored_range(dataset: Dataset, stored: NDArray[np.integer]) -> tuple[int, int]:
    bits = integer(dataset, "BitsStored") or 8 * stored.dtype.itemsize
    if integer(dataset, "PixelRepresentation") == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _group(dataset: Dataset, index: int) -> Dataset:
    """Return the PixelValueTransformation of a frame of an enhanced image, else the data set itself."""
    for groups in (
        item(dataset, "PerFrameFunctionalGroupsSequence", index),
        item(dataset, "SharedFunctionalGroupsSequence", 0),
    ):
        found = item(groups, "PixelValueTransformationSequence", 0)
        if found is not None:
            return found
    return dataset


def _rescale(
    dataset: Dataset,
    index: int,
    stored: NDArray[np.integer],
    out: NDArray[np.float32],
    where: InstanceName,
    *,
    short: bool,
) -> None:
    """Apply the modality LUT; `short` says that magnitudes are below 2 ** 16."""
    lut = item(dataset, "ModalityLUTSequence", 0)
    if lut is not None:
        _look_up(dataset, lut, stored, out, where)
        return
    source = _group(dataset, index)
    slope, intercept = numbers(source, "RescaleSlope"), numbers(source, "RescaleIntercept")
    if text(dataset, "Modality") == "CT" and not (slope and intercept):
        raise UnreadableImage(
            f"{where}: CT without RescaleSlope and RescaleIntercept; its Hounsfield units cannot be told"
        )
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if not value and is_stated(source, keyword):
            raise UnreadableImage(f"{where}: {keyword} is no finite number")
    factor, offset = (slope[0] if slope else 1.0), (intercept[0] if intercept else 0.0)
    if factor == 0:
        raise UnreadableImage(f"{where}: RescaleSlope is 0")
    if short and factor.is_integer() and offset.is_integer() and max(abs(factor) * 2**16, abs(offset)) < 2**24:
        out[...] = stored  # all exact: 16 + 8 bits fit float32's 24
        if factor != 1:
            out *= np.float32(factor)
        if offset:
            out += np.float32(offset)
    else:
        out[...] = stored.astype(np.float64) * factor + offset


def _look_up(
    dataset: Dataset, lut: Dataset, stored: NDArray[np.integer], out: NDArray[np.float32], where: InstanceName
) -> None:
    descriptor = numbers(lut, "LUTDescriptor")
    if len(descriptor) != 3:
        raise UnreadableImage(f"{where}: its Modality LUT has no descriptor")
    entries, first = int(descriptor[0]) or 65536, int(descriptor[1])
    if integer(dataset, "PixelRepresentation") == 1 and first > 32767:
        first -= 65536
    raw = value_of(lut, "LUTData")
    if isinstance(raw, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        table = np.frombuffer(raw[: len(raw) // 2 * 2], dtype=f"{order}u2")
    else:
        table = np.asarray(raw if raw is not None else [])
    if len(table) < entries:
        raise UnreadableImage(f"{where}: its Modality LUT holds {len(table)} of {entries} entries")
    out[...] = table[np.clip(stored.astype(np.int64) - first, 0, entries - 1)]


def _padding(dataset: Dataset, stored: NDArray[np.integer]) -> NDArray[np.bool_] | None:
    """Mark pixels that hold no measurement; None where there are none."""
    value, limit = numbers(dataset, "PixelPaddingValue"), numbers(dataset, "PixelPaddingRangeLimit")
    if len(value) != 1:
        return None
    # Its VR depends on PixelRepresentation and writers get it wrong: bring both to the range of the stored values.
    low, high = _stored_range(dataset, stored)
    bounds = sorted(_wrap(int(part), low, high) for part in (value[0], *limit[:1]))
    mask = np.asarray((stored >= bounds[0]) & (stored <= bounds[-1]))
    return mask if mask.any() else None


def _wrap(value: int, low: int, high: int) -> int:
    if low <= value <= high:
        return value
    if value in range(-32768, 0) and low == 0:
        return value % 65536
    return value - 65536 if value in range(32768, 65536) and low < 0 else value
