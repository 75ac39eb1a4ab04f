"""Studies, series and reports for the tests of `app/report` and `app/deliver`, built in code."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from app.findings import Algorithm, Finding, Outcome, Presence, Report, SliceScore
from app.study import Instance, Series, Study
from bundles.common.geometry import StackGeometry

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
SERIES_UID = "1.2.826.0.1.3680043.8.498.1.1"
FRAME_UID = "1.2.826.0.1.3680043.8.498.1.2"
MADE_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PHANTOM = Algorithm(
    name="head_ct_hemorrhage",
    version="0.1.0",
    weights_sha256="ab" * 32,
    training_data="phantom head CT, generator 1",
    status="research",
    title="Intracranial hemorrhage in head CT",
)
KINDS = (
    "intracranial_hemorrhage",
    "subarachnoid_hemorrhage",
    "subdural_hemorrhage",
    "epidural_hemorrhage",
    "intraventricular_hemorrhage",
    "intraparenchymal_hemorrhage",
)


def instance_uid(index: int) -> str:
    return f"{SERIES_UID}.{index + 1}"


def head(size: int = 64, bleed: bool = False) -> NDArray[np.int16]:
    """A skull with a brain in it, in HU + 1024; a crescent of blood under the skull on the left."""
    row, column = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(row / 0.9, column / 0.72)
    hu = np.where(radius < 1, 1000.0, -1000.0)
    hu[radius < 0.9] = 35
    hu[np.hypot(row / 0.25, column / 0.1) < 1] = 8
    if bleed:
        hu[(radius < 0.9) & (radius > 0.74) & (column < -0.2) & (np.abs(row) < 0.5)] = 68
    return (hu + 1024).astype(np.int16)


def write_ct(
    path: Path,
    index: int = 0,
    pixels: NDArray[np.int16] | None = None,
    headers: Mapping[str, Any] | None = None,
    drop: tuple[str, ...] = (),
) -> Instance:
    """One CT image of the series, 5 mm above the one before."""
    pixels = head() if pixels is None else pixels
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, instance_uid(index)
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = STUDY_UID, SERIES_UID, FRAME_UID
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Doe^Jane", "P-1", "19500102", "F"
    image.StudyDate, image.StudyTime, image.AccessionNumber, image.StudyID = "20260301", "101500", "A-7", "S-3"
    image.ReferringPhysicianName, image.StudyDescription = "Roe^Richard", "CT head"
    image.Modality, image.Manufacturer, image.SeriesNumber, image.InstanceNumber = "CT", "Nobody", 2, index + 1
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.ImagePositionPatient, image.ImageOrientationPatient = [-110, -110, 5 * index], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [220 / pixels.shape[0], 220 / pixels.shape[1]], 5
    image.Rows, image.Columns, image.SamplesPerPixel = *pixels.shape, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.RescaleIntercept, image.RescaleSlope = -1024, 1
    image.PixelData = pixels.tobytes()
    image["PixelData"].VR = "OW"
    for keyword, value in (headers or {}).items():
        setattr(image, keyword, value)
    for keyword in drop:
        delattr(image, keyword)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID, image.file_meta.MediaStorageSOPInstanceUID = (
        CTImageStorage,
        instance_uid(index),
    )
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
    return Instance(
        path=path,
        sop_instance_uid=instance_uid(index),
        sop_class_uid=CTImageStorage,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        digest=f"{index:016x}",
    )


def make_study(folder: Path, slices: int = 4, size: int = 64, **options: Any) -> Study:
    """A head CT of `slices` images; `options` go to `write_ct`."""
    folder.mkdir(parents=True, exist_ok=True)
    instances = tuple(
        write_ct(folder / f"{index:03}.dcm", index, head(size, bleed=index == slices // 2), **options)
        for index in range(slices)
    )
    geometry = StackGeometry(
        rows=size,
        columns=size,
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        pixel_spacing_mm=(220 / size, 220 / size),
        origins=tuple((-110.0, -110.0, 5.0 * index) for index in range(slices)),
        plane="axial",
    )
    series = Series(SERIES_UID, 0, "CT", instances, {"PatientID": "P-1", "PatientName": "Doe^Jane"}, geometry)
    return Study(STUDY_UID, "0123456789abcdef", (series,))


def make_report(
    presence: Presence = Presence.PRESENT,
    outcome: Outcome = Outcome.SUCCEEDED,
    slices: int = 4,
    algorithm: Algorithm = PHANTOM,
    **changes: Any,
) -> Report:
    """What the bundle says: hemorrhage with one type, or none, or nothing at all."""
    determined = outcome is Outcome.SUCCEEDED and presence is not Presence.UNDETERMINED
    findings = []
    for position, kind in enumerate(KINDS):
        if not determined:
            findings.append(Finding(kind, Presence.UNDETERMINED))
            continue
        found = presence is Presence.PRESENT and position in {0, 2}
        scores = tuple(
            SliceScore(
                instance_uid(i),
                i,
                round(0.9 - 0.3 * abs(i - slices // 2), 3)
                if found and i in range(slices // 2 - 2, slices // 2 + 3)
                else 0.05,
            )
            for i in range(slices)
        )
        findings.append(
            Finding(
                kind,
                Presence.PRESENT if found else Presence.ABSENT,
                certainty=0.93125 if found else 0.0421,
                threshold=0.5,
                calibrated=position == 0,
                slices=scores if position == 0 else (),
            )
        )
    values: dict[str, Any] = {
        "study_uid": STUDY_UID,
        "revision": "0123456789abcdef",
        "series_uid": SERIES_UID,
        "stack": 0,
        "algorithm": algorithm,
        "outcome": outcome,
        "findings": tuple(findings),
        "reason": "" if outcome is Outcome.SUCCEEDED else "slice 3 is missing: a gap of 10 mm where 5 mm was expected",
        "notes": ("gantry tilt of 18.5° was corrected",),
        "seconds": 1.25,
    }
    return Report(**(values | changes))
