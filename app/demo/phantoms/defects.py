"""What goes wrong with real series, done on purpose: pure functions from data sets to data sets.

None of them changes the data sets it was given.
"""

from copy import deepcopy
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from app.demo.phantoms.dicom_writer import derived_uid

NAMES: MappingProxyType[str, tuple[tuple[str, ...] | str, str]] = MappingProxyType(
    {
        "japanese": (("", "ISO 2022 IR 87"), "Phantom^Taro=幻影^太郎=げんえい^たろう"),
        "cyrillic": ("ISO_IR 144", "Фантом^Иван"),
    }
)
"""SpecificCharacterSet and PatientName of each script (PS3.3 C.12.1.1.2, PS3.5 annex H)."""


def _copies(images: list[Dataset]) -> list[Dataset]:
    return [deepcopy(image) for image in images]


def _another(image: Dataset, role: str) -> Dataset:
    """A copy under a SOP instance UID of its own."""
    copy = deepcopy(image)
    copy.SOPInstanceUID = derived_uid(str(image.SOPInstanceUID), role)
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    return copy


def without_slice(images: list[Dataset], index: int) -> list[Dataset]:
    """The series with one slice missing."""
    copies = _copies(images)
    del copies[index]
    return copies


def with_duplicate(images: list[Dataset], index: int) -> list[Dataset]:
    """The series with one slice twice: same position and pixels, another SOP instance UID, at the end."""
    twin = _another(images[index], "duplicate")
    twin.InstanceNumber = len(images) + 1
    return [*_copies(images), twin]


def one_slice(images: list[Dataset]) -> list[Dataset]:
    """The middle slice alone."""
    return _copies([images[len(images) // 2]])


def without_rescale(images: list[Dataset]) -> list[Dataset]:
    """The series without rescale tags, so that stored values have no stated meaning."""
    return without(images, "RescaleIntercept", "RescaleSlope", "RescaleType")


def without(images: list[Dataset], *keywords: str) -> list[Dataset]:
    """The series without these elements: `PatientID`, `StudyInstanceUID`, …; absent ones stay absent."""
    copies = _copies(images)
    for copy in copies:
        for keyword in keywords:
            if keyword in copy:
                delattr(copy, keyword)
    return copies


def named(images: list[Dataset], script: str) -> list[Dataset]:
    """The series with the patient's name in another script.

    Args:
        images: The series.
        script: One of `NAMES`.
    """
    characters, name = NAMES[script]
    copies = _copies(images)
    for copy in copies:
        copy.SpecificCharacterSet = list(characters) if isinstance(characters, tuple) else characters
        copy.PatientName = name
    return copies


def with_absurd_dimensions(images: list[Dataset], index: int, edge: int = 65535) -> list[Dataset]:
    """The series with one slice whose header claims `edge` rows and columns."""
    copies = _copies(images)
    copies[index].Rows = copies[index].Columns = edge
    return copies


def with_mixed_orientation(images: list[Dataset], index: int) -> list[Dataset]:
    """The series with one slice that claims to be coronal."""
    copies = _copies(images)
    copies[index].ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    return copies


def _projection(images: list[Dataset]) -> NDArray[np.int16]:
    """Side view of the series: mean over the rows' direction of stored values, top of the head first."""
    ordered = sorted(images, key=lambda image: float(image.ImagePositionPatient[2]), reverse=True)
    lines = [image.pixel_array.astype(np.float32).mean(axis=0) for image in ordered]
    repeat = max(1, round(float(images[0].SliceThickness) / float(images[0].PixelSpacing[1])))
    return np.repeat(np.stack(lines), repeat, axis=0).astype(np.int16)


def with_localizer(images: list[Dataset]) -> list[Dataset]:
    """The series with a localizer before it: coronal, of another size, under the same series UID."""
    view = _projection(images)
    scout = _another(images[0], "localizer")
    pixel = float(images[0].PixelSpacing[1])
    top = max(images, key=lambda image: float(image.ImagePositionPatient[2]))
    left = float(images[0].ImagePositionPatient[0])
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    scout.ImagePositionPatient = [f"{left:.4f}", "0", f"{float(top.ImagePositionPatient[2]):.4f}"]
    scout.PixelSpacing = [f"{pixel:.6f}"] * 2
    scout.Rows, scout.Columns = view.shape
    scout.InstanceNumber = 0
    del scout.RescaleType  # a localizer has no Hounsfield units
    scout.PixelData = view.astype("<i2" if scout.PixelRepresentation else "<u2").tobytes()
    return [scout, *_copies(images)]


def truncated(content: bytes, share: float = 0.6) -> bytes:
    """The first part of a file, as a broken transfer leaves it."""
    return content[: int(len(content) * share)]


def another_uid(images: list[Dataset], keyword: str, value: str) -> list[Dataset]:
    """The series with another UID everywhere, say a new `StudyInstanceUID`."""
    copies = _copies(images)
    for copy in copies:
        setattr(copy, keyword, UID(value))
    return copies
