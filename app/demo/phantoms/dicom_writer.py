"""Phantom studies as DICOM: CT Image Storage series with the headers of four imagined scanners.

Attributes follow the CT Image IOD (PS3.3 A.3). Patients are named as phantoms, UIDs come from the seed under 2.25.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from app.demo.phantoms.fields import stream
from app.demo.phantoms.phantom import Phantom

IMPLEMENTATION_UID = UID("2.25.173029811043720381655213349020744681221")
_STUDY_DATE = "20260105"
_AXIAL = ("ORIGINAL", "PRIMARY", "AXIAL")


@dataclass(frozen=True, slots=True)
class Scanner:
    """Habits of one maker's CT headers.

    Attributes:
        manufacturer, model: As the header says; every model is named a phantom.
        kernels: ConvolutionKernel values for soft tissue.
        image_type: ImageType.
        intercept: RescaleIntercept; with 0 the stored values are signed Hounsfield units.
        bits: BitsStored.
        padding: Stored PixelPaddingValue outside the circle; None where the maker fills the square.
        descending: Whether instance numbers run from the top of the head down.
    """

    manufacturer: str
    model: str
    kernels: tuple[str, ...]
    image_type: tuple[str, ...]
    intercept: int
    bits: int
    padding: int | None
    descending: bool


SCANNERS: MappingProxyType[str, Scanner] = MappingProxyType(
    {
        "ge": Scanner(
            "GE MEDICAL SYSTEMS",
            "Phantom G",
            ("STANDARD", "SOFT"),
            ("ORIGINAL", "PRIMARY", "AXIAL"),
            -1024,
            16,
            -2000,
            False,
        ),
        "siemens": Scanner(
            "SIEMENS",
            "Phantom S",
            ("H31s", "J40s"),
            ("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SEQ"),
            -1024,
            12,
            None,
            True,
        ),
        "canon": Scanner("CANON", "Phantom C", ("FC21", "FC26"), _AXIAL, 0, 16, -1500, descending=False),
        "philips": Scanner(
            "Philips", "Phantom P", ("UB", "UA"), ("ORIGINAL", "PRIMARY", "AXIAL"), -1024, 12, None, True
        ),
    }
)


def uid(seed: int, role: str, token: str = "") -> UID:
    """A UID under 2.25 from a seed, a role and a run's token: the same three give the same UID."""
    return derived_uid(f"phantom {seed}", f"{role} {token}")


def derived_uid(parent: str, role: str) -> UID:
    """A UID under 2.25 from the name of what it derives from and its role there."""
    digest = blake2b(f"{parent} {role}".encode(), digest_size=16).digest()
    return UID(f"2.25.{int.from_bytes(digest) or 1}")


def scanner_of(seed: int) -> Scanner:
    """Which scanner the seed draws."""
    return SCANNERS[str(stream(seed, "scanner make").choice(list(SCANNERS)))]


def decimal_string(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text[:16]


def _anatomy(meaning: str, value: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _common(phantom: Phantom, scanner: Scanner, token: str, series_number: int) -> Dataset:
    """What all images of a series share."""
    seed, rng = phantom.seed, stream(phantom.seed, "headers")
    clock = f"{int(rng.integers(24)):02d}{int(rng.integers(60)):02d}00"
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.ImageType = list(scanner.image_type)
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = _STUDY_DATE
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = clock
    image.AccessionNumber = f"PH{seed % 10**12}"
    image.Modality, image.Manufacturer, image.ManufacturerModelName = "CT", scanner.manufacturer, scanner.model
    image.ReferringPhysicianName, image.StudyDescription = "", "Phantom head CT"
    image.SeriesDescription = "Head axial"
    image.PatientName, image.PatientID = f"Phantom^Seed {seed}", f"PHANTOM-{seed}"
    image.PatientSex, image.PatientAge = str(rng.choice(["F", "M", "O"])), f"{round(phantom.head.age):03d}Y"
    image.PatientBirthDate = f"{2026 - round(phantom.head.age)}0101"
    image.PatientIdentityRemoved = "NO"
    image.StudyInstanceUID = uid(seed, "study", token)
    image.SeriesInstanceUID = uid(seed, f"series {series_number}", token)
    image.FrameOfReferenceUID = uid(seed, "frame", token)
    image.PositionReferenceIndicator = ""
    image.StudyID, image.SeriesNumber, image.AcquisitionNumber = "1", series_number, 1
    image.BodyPartExamined, image.PatientPosition = "HEAD", "HFS"
    image.AnatomicRegionSequence = Sequence([_anatomy("Head", "69536005")])
    image.KVP, image.XRayTubeCurrent, image.ExposureTime = "120", int(rng.integers(180, 340)), 1000
    image.ConvolutionKernel = str(rng.choice(scanner.kernels))
    image.GantryDetectorTilt = decimal_string(phantom.acquisition.tilt_deg)
    image.DataCollectionDiameter = "250"
    image.ReconstructionDiameter = decimal_string(phantom.acquisition.field_of_view_mm)
    image.SoftwareVersions = "phantom generator"
    return image


def _pixel_module(image: Dataset, stored: NDArray[np.int16] | NDArray[np.uint16], scanner: Scanner) -> None:
    rows, columns = stored.shape
    signed = stored.dtype == np.int16
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = rows, columns
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, scanner.bits, scanner.bits - 1
    image.PixelRepresentation = int(signed)
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = str(scanner.intercept), "1", "HU"
    image.WindowCenter, image.WindowWidth = "40", "100"
    image.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    image["PixelData"].VR = "OW"


def stored_values(volume_hu: NDArray[np.int16], scanner: Scanner) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Hounsfield units as this scanner stores them: 12 bits unsigned, or 16 bits signed with padding below the scale.

    What lies outside the circle (below -1024 HU) becomes the maker's padding, or air where there is none.
    """
    outside = volume_hu < -1024
    values = np.clip(volume_hu, -1024, 3071).astype(np.int32) - scanner.intercept
    if scanner.bits == 12:
        return np.clip(values, 0, 4095).astype(np.uint16)
    if scanner.padding is not None:
        values[outside] = scanner.padding
    return values.astype(np.int16)


def add_meta(image: Dataset) -> None:
    """Give a data set file meta information: explicit VR little endian, uncompressed."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, "VIGIL_PHANTOM"
    image.file_meta = meta


def to_datasets(phantom: Phantom, *, scanner: Scanner | None = None, token: str = "") -> list[Dataset]:
    """A phantom as CT images, in the order of the array: lowest slice first.

    Args:
        phantom: What was scanned.
        scanner: Whose habits the headers follow; None lets the seed decide.
        token: Of a run: another token gives other UIDs, so that a repeated demo sends new studies.

    Returns:
        One data set a slice, with file meta information, ready for `pydicom.dcmwrite`.
    """
    scanner = scanner_of(phantom.seed) if scanner is None else scanner
    acquisition = phantom.acquisition
    stored = stored_values(phantom.volume_hu, scanner)
    orientation = [decimal_string(float(v)) for v in (*acquisition.row_direction, *acquisition.column_direction)]
    count = len(stored)
    images = []
    for index, origin in enumerate(acquisition.origins):
        image = _common(phantom, scanner, token, 2)
        number = count - index if scanner.descending else index + 1
        image.SOPInstanceUID = uid(phantom.seed, f"image 2 {index}", token)
        image.InstanceNumber = number
        image.ImagePositionPatient = [decimal_string(float(v)) for v in origin]
        image.ImageOrientationPatient = orientation
        image.SliceLocation = decimal_string(acquisition.table_mm[index])
        image.SliceThickness = decimal_string(acquisition.thickness_mm)
        image.PixelSpacing = [decimal_string(acquisition.pixel_mm)] * 2
        _pixel_module(image, stored[index], scanner)
        if scanner.padding is not None and scanner.bits == 16:
            image.add_new("PixelPaddingValue", "SS", scanner.padding)
        add_meta(image)
        images.append(image)
    return images


def write_series(images: list[Dataset], folder: Path) -> list[Path]:
    """Write data sets as DICOM files named by their order; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, image in enumerate(images):
        path = folder / f"{index:04d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
