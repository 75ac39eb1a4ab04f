"""What a file holds, from its header alone: format, size, type. Pixels stay unread. For indexing large archives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel
from pydicom.dataset import Dataset

from bundles.common.elements import integer
from bundles.common.headers import FRAME_KEYWORDS, UnreadableImage, frames_of, read_header
from bundles.common.plain import NIFTI_ERRORS, PICTURE_ERRORS, check_pages, is_nifti, is_picture, open_picture

Format = Literal["dicom", "nifti", "picture"]
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
PICTURE_DTYPES = {"1": "uint8", "L": "uint8", "P": "uint8", "RGB": "uint8", "RGBA": "uint8", "LA": "uint8"}
INDEX_KEYWORDS = (*FRAME_KEYWORDS, "PatientID", "BodyPartExamined", "BitsAllocated", "PixelRepresentation")


@dataclass(frozen=True, slots=True)
class Outline:
    """Format, size and type of one image file.

    Attributes:
        format: "dicom", "nifti" or "picture".
        shape: (slices, rows, columns) of the file; slices is 1 for a single image, else frames or slices.
        dtype: Stored type of a pixel by NumPy's name.
        dataset: The elements of a DICOM header that `INDEX_KEYWORDS` name; None outside of DICOM. Holds patient data.
        localizer: Whether a DICOM header says LOCALIZER.
    """

    format: Format
    shape: tuple[int, int, int]
    dtype: str
    dataset: Dataset | None = None
    localizer: bool = False


def outline(path: Path) -> Outline | None:
    """Read the header of one file; None where it is no image and does not claim to be one.

    Raises:
        UnreadableImage: It claims to be an image, by its name or its first bytes, and cannot be read.
    """
    if is_nifti(path):
        return _nifti(path)
    if is_picture(path):
        return _picture(path)
    return _dicom(path) if path.suffix.lower() in DICOM_SUFFIXES or _has_prefix(path) else None


def _has_prefix(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError as error:
        raise UnreadableImage(f"{path.name}: {error.strerror or 'cannot be read'}") from error


def _dicom(path: Path) -> Outline | None:
    header = read_header(path, INDEX_KEYWORDS)
    frames = frames_of(header)
    if not frames:
        return None
    if header.problem is not None:
        raise UnreadableImage(header.problem)
    signed = integer(header.dataset, "PixelRepresentation") == 1
    return Outline(
        "dicom",
        (len(frames), frames[0].rows, frames[0].columns),
        f"{'' if signed else 'u'}int{max(integer(header.dataset, 'BitsAllocated') or 16, 8)}",
        header.dataset,
        frames[0].localizer,
    )


def _nifti(path: Path) -> Outline:
    try:
        image = nibabel.load(path)
        shape, dtype = tuple(int(side) for side in image.shape), str(image.get_data_dtype())
    except NIFTI_ERRORS as error:
        raise UnreadableImage(f"{path.name}: not a readable NIfTI file") from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise UnreadableImage(f"{path.name}: NIfTI of shape {shape}, expected three dimensions")
    return Outline("nifti", (shape[2], shape[1], shape[0]), dtype)


def _picture(path: Path) -> Outline:
    try:
        with open_picture(path) as image:
            check_pages(path, image)
            # Pillow calls 16-bit greys I;16, I;16B or I, by file and platform.
            dtype = PICTURE_DTYPES.get(image.mode, "float32" if image.mode == "F" else "uint16")
            return Outline("picture", (1, image.height, image.width), dtype)
    except UnreadableImage:
        raise
    except PICTURE_ERRORS as error:
        raise UnreadableImage(f"{path.name}: not a readable picture") from error
