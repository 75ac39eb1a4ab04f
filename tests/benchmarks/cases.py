"""Studies whose turnaround is measured: a head CT, a head MR, a chest, a wrist in two projections."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from app.demo.phantoms.dicom_writer import write_series
from app.demo.phantoms.mr.phantom import make_mr_phantom
from app.demo.phantoms.mr.writer import SCANNERS as MR_SCANNERS
from app.demo.phantoms.mr.writer import to_datasets as to_mr_datasets
from app.demo.phantoms.radiographs.chest import make_chest
from app.demo.phantoms.radiographs.radiograph import Radiograph
from app.demo.phantoms.radiographs.wrist import make_wrist
from app.demo.phantoms.radiographs.writer import SYSTEMS, to_dataset

SLICES = 36
CHEST_SIDE, WRIST_SIDE = 2000, 1024


def head() -> np.ndarray:
    """(slices, rows, columns), uint16 stored values: a skull, a brain and a bright clot."""
    rng = np.random.default_rng(1)
    z, y, x = np.meshgrid(np.linspace(-1, 1, SLICES), *[np.linspace(-1, 1, 512)] * 2, indexing="ij")
    radius = np.sqrt((z / 1.1) ** 2 + (y / 0.8) ** 2 + (x / 0.65) ** 2)
    hu = np.where(radius < 1, 35, -1000) + rng.normal(0, 4, radius.shape)
    hu = np.where((radius > 0.9) & (radius < 1), 1000, hu)
    hu = np.where((z - 0.2) ** 2 + (y - 0.2) ** 2 + (x - 0.2) ** 2 < 0.02, 65, hu)
    return (hu + 1024).clip(0, 4095).astype(np.uint16)


def write_study(folder: Path, pixels: np.ndarray) -> tuple[Path, ...]:
    """Write one study with UIDs of its own."""
    folder.mkdir(parents=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for number, plane in enumerate(pixels):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.Modality, image.PatientName, image.PatientID = "CT", "Bench^Mark", "BENCH"
        image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = ""
        image.StudyDate, image.StudyTime, image.ReferringPhysicianName = "20260101", "120000", ""
        image.StudyDescription, image.SeriesDescription, image.BodyPartExamined = "CT HEAD", "HEAD 5MM", "HEAD"
        image.ImageType, image.SeriesNumber, image.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], 1, number + 1
        image.ImagePositionPatient, image.SliceThickness = [-115, -115, 4.5 * number], 4.5
        image.ImageOrientationPatient, image.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.45, 0.45]
        image.Rows = image.Columns = 512
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, -1024, "HU"
        image.PixelData = plane.tobytes()
        paths.append(folder / f"{number:03d}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return tuple(paths)


def write_radiographs(folder: Path, pictures: Sequence[Radiograph]) -> tuple[Path, ...]:
    """Write one study of several radiographs, with UIDs of its own, as CR that says what it shows."""
    folder.mkdir(parents=True)
    study, paths = generate_uid(), []
    for number, picture in enumerate(pictures, 1):
        image = to_dataset(picture, system=SYSTEMS["agfa"], token=str(study), number=number)
        image.StudyInstanceUID = study
        paths.append(folder / f"{number:03d}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return tuple(paths)


@dataclass(frozen=True)
class Case:
    """What is sent to which bundle.

    Attributes:
        bundle: Name.
        images: In words.
        write: Writes one study into a new folder.
    """

    bundle: str
    images: str
    write: Callable[[Path], tuple[Path, ...]]


def of_head() -> Case:
    """A head CT."""
    pixels = head()
    images = f"{SLICES} slices of 512×512"
    return Case("head_ct_hemorrhage", images, lambda folder: write_study(folder, pixels))


def of_head_mr() -> Case:
    """A sagittal head MR of a usual size, with metastases."""
    phantom = make_mr_phantom(7, diameters=(18.0, 9.0), plane="sagittal")
    slices, rows, columns = phantom.volume.shape

    def write(folder: Path) -> tuple[Path, ...]:
        images = to_mr_datasets(phantom, scanner=MR_SCANNERS["siemens"], token=str(generate_uid()))
        for image in images:
            image.ContrastBolusAgent = "Gadovist"
        return tuple(write_series(images, folder))

    return Case("brain_metastasis", f"{slices} slices of {rows}×{columns}", write)


def of_chest() -> Case:
    """A chest."""
    picture = make_chest(7, CHEST_SIDE)
    images = f"one radiograph of {CHEST_SIDE}×{CHEST_SIDE}"
    return Case("chest_radiograph", images, lambda folder: write_radiographs(folder, [picture]))


def of_wrist() -> Case:
    """A wrist in two projections."""
    pictures = [make_wrist(7, WRIST_SIDE, fracture=True, projection=view) for view in ("PA", "LATERAL")]
    rows, columns = pictures[0].picture.shape
    return Case(
        "wrist_fracture", f"two radiographs of {rows}×{columns}", lambda folder: write_radiographs(folder, pictures)
    )


CASES: Mapping[str, Callable[[], Case]] = MappingProxyType(
    {
        "head_ct_hemorrhage": of_head,
        "brain_metastasis": of_head_mr,
        "chest_radiograph": of_chest,
        "wrist_fracture": of_wrist,
    }
)
"""By name of the bundle; called when its turn comes, because drawing takes a while."""
