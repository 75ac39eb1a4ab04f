"""DICOM series built in code: any plane, tilt and spacing, with pixels that tell where they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SERIES = "1.2.826.0.1.3680043.8.498.1"
STUDY = "1.2.826.0.1.3680043.8.498.2"


def uid(*parts: object) -> str:
    """The same parts give the same UID."""
    return str(generate_uid(entropy_srcs=[str(part) for part in parts]))


def ct_slice(  # noqa: PLR0917
    number: int = 1,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (0.8, 0.5),
    pixels: npt.NDArray[Any] | None = None,
    series: str = SERIES,
    **changes: Any,
) -> FileDataset:
    """One CT image; `changes` sets elements by keyword, None deletes."""
    stored = np.arange(48, dtype=np.int16).reshape(6, 8) + 100 * number if pixels is None else pixels
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid(series, number, tuple(position), tuple(orientation))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, series
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [round(float(part), 6) for part in position]
    dataset.ImageOrientationPatient = [round(float(part), 9) for part in orientation]
    dataset.PixelSpacing = list(spacing)
    dataset.SliceThickness = 5.0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = stored.tobytes()
    change(dataset, **changes)
    return dataset


def change(dataset: Dataset, **changes: Any) -> Dataset:
    """Set elements by keyword; None deletes."""
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def ct_stack(
    positions: Sequence[float] = tuple(range(0, 50, 5)),
    orientation: Sequence[float] = AXIAL,
    tilt_deg: float = 0.0,
    **changes: Any,
) -> list[FileDataset]:
    """A stack at these positions along its normal; with a tilt, the table moves along the untilted normal."""
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    normal = np.cross(row, column)
    angle = np.radians(tilt_deg)
    direction = np.cos(angle) * normal + np.sin(angle) * column
    origin = np.asarray((-120.0, -110.0, 30.0))
    return [
        ct_slice(number, origin + direction * place / np.cos(angle), orientation, **changes)
        for number, place in enumerate(positions, 1)
    ]


def save(folder: Path, datasets: Sequence[FileDataset], order: Sequence[int] | None = None) -> list[Path]:
    """Write files whose names tell nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place in range(len(datasets)) if order is None else order:
        dataset = datasets[place]
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
        path = folder / f"{uid(place, folder.name)[-12:]}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def radiograph(**changes: object) -> Dataset:
    values = np.asarray([[0, 100], [1000, 1023]], dtype=np.uint16)
    image = ct_slice(
        pixels=values, Modality="CR", BitsStored=10, HighBit=9, RescaleSlope=None, RescaleIntercept=None,
        ImagePositionPatient=None, ImageOrientationPatient=None, PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image
