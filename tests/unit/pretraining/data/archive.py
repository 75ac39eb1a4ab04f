"""Archives built in code: DICOM series, radiographs, NIfTI volumes and pictures with known values."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import FileDataset

from tests.unit.bundles.common.dicom import change, ct_slice, ct_stack, save, uid


def ramp(rows: int = 12, columns: int = 16, start: int = 0, dtype: npt.DTypeLike = np.uint16) -> npt.NDArray[Any]:
    """Values that rise by one from `start`."""
    return (np.arange(rows * columns).reshape(rows, columns) + start).astype(dtype)


def radiograph(patient: str, number: int = 1, photometric: str = "MONOCHROME2", **changes: Any) -> FileDataset:
    """A chest radiograph of 12 × 16 pixels, 12 bits."""
    image = ct_slice(number, pixels=ramp(start=number), series=uid("dx", patient, number))
    image.BitsStored, image.HighBit = 12, 11
    image.PatientID, image.Modality, image.BodyPartExamined = patient, "DX", "CHEST"
    image.StudyInstanceUID = uid("study", patient)
    image.PhotometricInterpretation = photometric
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(image, keyword)
    change(image, **changes)
    return image


def ct_series(patient: str, slices: int = 4) -> list[FileDataset]:
    """A CT of slices 5 mm apart."""
    stack = ct_stack(tuple(range(0, 5 * slices, 5)), series=uid("ct", patient))
    for image in stack:
        image.PatientID, image.StudyInstanceUID = patient, uid("ct study", patient)
    return stack


def save_picture(path: Path, pixels: npt.NDArray[Any]) -> Path:
    """A PNG or TIFF of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_nifti(path: Path, voxels: npt.NDArray[Any], spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> Path:
    """Voxels (slices, rows, columns) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), np.diag([*spacing, 1.0])), path)
    return path


def mixed(folder: Path) -> Path:
    """Two radiographs and a CT of 4 slices of patient A, a radiograph of B, an 8-bit and a 16-bit picture, a NIfTI."""
    save(folder / "dx", [radiograph("A", 1), radiograph("A", 2, "MONOCHROME1"), radiograph("B", 3)])
    save(folder / "ct", ct_series("A"))
    save_picture(folder / "png" / "p7_1.png", ramp(dtype=np.uint8))
    save_picture(folder / "png" / "p7_2.tif", ramp(start=3000))
    save_nifti(folder / "nifti" / "p8.nii.gz", np.arange(3 * 5 * 6, dtype=np.int16).reshape(3, 5, 6) - 40)
    return folder
