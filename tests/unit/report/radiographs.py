"""Radiograph studies and what a bundle says of them, for the tests of `app/report`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from app.assemble.headers import plain_headers
from app.findings import Algorithm, Finding, Outcome, Presence, Region, RegionKind, Report, SliceScore
from app.study import Instance, Series, Study

STUDY_UID = "1.2.826.0.1.3680043.8.498.7"
REVISION = "fedcba9876543210"
CHEST = Algorithm("chest_radiograph", "0.1.0", "cd" * 32, "phantom chests, generator 1", "research", "Lesions in chest")
WRIST = Algorithm("wrist_fracture", "0.1.0", "ef" * 32, "phantom wrists, generator 1", "research", "Fractures in wrist")


def series_uid(number: int) -> str:
    return f"{STUDY_UID}.{number}"


def image_uid(number: int) -> str:
    return f"{series_uid(number)}.1"


def body(rows: int, columns: int) -> NDArray[np.uint16]:
    """Something bright in the middle, darker towards the edges; 12 bits."""
    row, column = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    return (np.clip(1 - np.hypot(row, column), 0, 1) * 4000).astype(np.uint16)


def write_radiograph(path: Path, number: int, pixels: NDArray[np.uint16], **headers: Any) -> Series:
    """One radiograph, a series by itself; DX where `Modality` does not say CR."""
    image = Dataset()
    computed = headers.get("Modality") == "CR"
    image.SOPClassUID = ComputedRadiographyImageStorage if computed else DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = (
        image_uid(number),
        STUDY_UID,
        series_uid(number),
    )
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Doe^Jane", "P-1", "19500102", "F"
    image.StudyDate, image.StudyTime, image.AccessionNumber, image.StudyID = "20260301", "101500", "A-7", "S-3"
    image.ReferringPhysicianName, image.Modality, image.InstanceNumber = "Roe^Richard", "DX", 1
    image.Rows, image.Columns, image.SamplesPerPixel = *pixels.shape, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = pixels.tobytes()
    image["PixelData"].VR = "OW"
    for keyword, value in headers.items():
        setattr(image, keyword, value)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)
    instance = Instance(path, image.SOPInstanceUID, image.SOPClassUID, ExplicitVRLittleEndian, f"{number:016x}")
    return Series(image.SeriesInstanceUID, 0, image.Modality, (instance,), plain_headers(image))


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def chest_study(folder: Path, rows: int = 600, columns: int = 500, **headers: Any) -> Study:
    """One frontal chest, DX, with coded region and view."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "AnatomicRegionSequence": [code("816094009", "Chest")],
        "ViewCodeSequence": [code("272479007", "postero-anterior")],
        "ImageLaterality": "U",
        "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": [0.5, 0.5],
    }
    series = write_radiograph(folder / "1.dcm", 1, body(rows, columns), **(told | headers))
    return Study(STUDY_UID, REVISION, (series,))


def wrist_study(folder: Path) -> Study:
    """A left wrist in two projections, CR, two series."""
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {
        "Modality": "CR",
        "BodyPartExamined": "WRIST",
        "Laterality": "L",
        "PixelSpacing": [0.2, 0.2],
    }
    views = (("PA", ["L", "F"]), ("LATERAL", ["A", "F"]))
    series = tuple(
        write_radiograph(
            folder / f"{number}.dcm", number, body(400, 260), ViewPosition=view, PatientOrientation=way, **told
        )
        for number, (view, way) in enumerate(views, 1)
    )
    return Study(STUDY_UID, REVISION, series)


def _report(images: int, **values: Any) -> Report:
    common: dict[str, Any] = {
        "study_uid": STUDY_UID,
        "revision": REVISION,
        "series_uid": series_uid(1),
        "stack": 0,
        "outcome": Outcome.SUCCEEDED,
        "seconds": 0.75,
        "more": tuple((series_uid(number), 0) for number in range(2, images + 1)),
    }
    return Report(**(common | values))


def chest_report(**changes: Any) -> Report:
    """A lesion and a pneumothorax, a box each."""
    boxes = (
        Region(image_uid(1), (120.5, 80.0, 190.25, 150.0), RegionKind.DETECTION, 0.8125),
        Region(image_uid(1), (300.0, 60.0, 440.0, 240.5), RegionKind.DETECTION, 0.71875),
    )
    lesion, air = (
        Finding(kind, Presence.PRESENT, certainty, 0.4, True, (SliceScore(image_uid(1), 0, certainty),), (box,), urgent)
        for kind, certainty, box, urgent in (
            ("lung_lesion", 0.875, boxes[0], False),
            ("pneumothorax", 0.9375, boxes[1], True),
        )
    )
    return _report(1, **({"algorithm": CHEST, "findings": (lesion, air)} | changes))


def wrist_report(presence: Presence = Presence.PRESENT, **changes: Any) -> Report:
    """A fracture seen in the second of two projections, with the place where the network looked; or none."""
    found = presence is Presence.PRESENT
    scores = (0.125, 0.9375 if found else 0.25)
    finding = Finding(
        "wrist_fracture",
        presence,
        max(scores),
        0.5,
        calibrated=True,
        slices=tuple(SliceScore(image_uid(number), number - 1, score) for number, score in enumerate(scores, 1)),
        regions=(Region(image_uid(2), (90.0, 180.0, 170.5, 260.0), RegionKind.ATTENTION),) if found else (),
    )
    if presence is Presence.UNDETERMINED:
        finding = Finding("wrist_fracture", presence)
    return _report(2, **({"algorithm": WRIST, "findings": (finding,)} | changes))


def wrist_failed() -> Report:
    """Nothing found in one projection, and the other could not be read."""
    return wrist_report(
        Presence.UNDETERMINED, outcome=Outcome.PARTIAL, reason="image 1 of series 2 (LATERAL) could not be decoded"
    )
