"""Radiographs for tests from end to end: phantoms with chosen headers, and real pictures wrapped as DICOM."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, SecondaryCaptureImageStorage, generate_uid

from app.demo.phantoms.dicom_writer import add_meta
from app.demo.phantoms.radiographs.chest import make_chest
from app.demo.phantoms.radiographs.chest_body import sample_chest
from app.demo.phantoms.radiographs.chest_findings import sample_pneumothorax
from app.demo.phantoms.radiographs.kinds import make_radiograph
from app.demo.phantoms.radiographs.radiograph import Radiograph
from app.demo.phantoms.radiographs.wrist import make_wrist
from app.demo.phantoms.radiographs.writer import SYSTEMS, to_dataset

SIZE = 640
TELLING, SILENT = "agfa", "kodak"
"""Systems of the phantoms whose headers say what the picture shows, and do not."""


def drawn(kind: str, seed: int = 7, size: int = SIZE) -> Radiograph:
    return make_radiograph(kind, seed, size)


def chest(seed: int = 7, *, lesions: int = 0) -> Radiograph:
    return make_chest(seed, SIZE, findings=(lesions, None))


def with_air(seed: int = 7) -> Radiograph:
    """A chest with a pneumothorax as the phantoms mostly have it; rare ones the network may miss."""
    return make_chest(seed, SIZE, findings=(0, sample_pneumothorax(sample_chest(seed))))


def wrist(seed: int = 7, projection: str = "PA", *, fracture: bool = False) -> Radiograph:
    return make_wrist(seed, SIZE, fracture=fracture, projection=projection)


def study(*pictures: Radiograph, system: str = TELLING) -> list[Dataset]:
    """Pictures as a new study of one patient, each a series."""
    study_uid, first = generate_uid(), pictures[0]
    images = []
    for number, picture in enumerate(pictures, 1):
        same = replace(picture, age=first.age, sex=first.sex)
        image = to_dataset(same, system=SYSTEMS[system], token=str(study_uid), number=number)
        image.StudyInstanceUID = study_uid
        image.PatientName, image.PatientID = "Test^Ray", "T2"
        if system == SILENT:
            image.StudyDescription = ""
        images.append(image)
    return images


def says(image: Dataset, body_part: str, view: str = "PA") -> Dataset:
    """Let a header claim another body part than its picture shows."""
    image.BodyPartExamined, image.ViewPosition = body_part, view
    image.StudyDescription = image.SeriesDescription = f"{body_part.lower()} {view}"
    return image


def captured(picture: Radiograph) -> list[Dataset]:
    """A radiograph as an 8-bit secondary capture that says Modality CR, as old printers and gateways write them."""
    (image,) = study(picture)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    image.ConversionType = "WSD"
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    pixels = np.rint(np.clip(picture.picture, 0, 1) * 255).astype(np.uint8)
    image.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    image["PixelData"].VR = "OW"
    del image.WindowCenter, image.WindowWidth
    return [image]


def strip(picture: Radiograph) -> list[Dataset]:
    """One row of a radiograph."""
    (image,) = study(picture)
    row = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)[image.Rows // 2]
    image.Rows, image.PixelData = 1, row.tobytes()
    return [image]


def wrapped(png: Path, *, telling: bool) -> Dataset:
    """A 16-bit PNG of a wrist as a DX image (PS3.3 A.26), whose header says that it is one, or says nothing."""
    with Image.open(png) as picture:
        pixels = np.asarray(picture, dtype="<u2")
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.StudyDate, image.StudyTime = "20260102", "101500"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Test^Ray", "T3", "", ""
    image.AccessionNumber = image.StudyID = image.ReferringPhysicianName = ""
    image.SeriesNumber = image.InstanceNumber = 1
    image.Modality, image.Manufacturer = "DX", "Test"
    image.PresentationIntentType = "FOR PRESENTATION"
    image.ImageType = ["ORIGINAL", "PRIMARY", ""]
    image.BodyPartExamined = "WRIST" if telling else ""
    image.StudyDescription = "Handgelenk" if telling else ""
    image.ImageLaterality = "L" if "-L" in png.name else "R"
    image.AnatomicRegionSequence = Sequence([])
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "US"
    image.PresentationLUTShape, image.LossyImageCompression = "IDENTITY", "00"
    image.DetectorType, image.ImagerPixelSpacing = "SCINTILLATOR", ["0.144", "0.144"]
    image.PatientOrientation, image.WindowCenter, image.WindowWidth = ["L", "F"], "32768", "65536"
    image.AcquisitionContextSequence = Sequence([])
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.BurnedInAnnotation = 15, 0, "NO"
    image.PixelData = pixels.tobytes()
    image["PixelData"].VR = "OW"
    add_meta(image)
    return image


def compressed(image: Dataset, syntax: UID, keep: float = 1.0) -> Dataset:
    """The image compressed, and cut off after a part of its code stream."""
    image.compress(syntax, generate_instance_uid=False)
    if keep < 1:
        frame = get_frame(image.PixelData, 0, number_of_frames=1)
        image.PixelData = encapsulate([frame[: int(len(frame) * keep)]])
    return image
