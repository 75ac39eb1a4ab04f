"""Heads for tests from end to end: volumes as MR images, phantoms in every plane, and a bundle that finds something."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import yaml
from pydicom import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from app.demo.phantoms.dicom_writer import add_meta, decimal_string
from app.demo.phantoms.mr.phantom import MrPhantom, make_mr_phantom
from app.demo.phantoms.mr.scan import Plane

METASTASIS = "brain_metastasis"
LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ENHANCED, PLAIN = "t1_mprage_tra_KM", "t1_mprage_tra"
"""SeriesDescription after contrast agent, and without."""
SEED = 4107
DIAMETERS = (18.0, 9.0)
SPACING_MM = 1.5


def from_nifti(path: Path, description: str) -> list[Dataset]:
    """A NIfTI volume of whole numbers as an MR series (PS3.3 A.4), one image a slice, in the order of the array.

    Where its affine turns over the head, the DICOM does so too.
    """
    volume = nibabel.load(path)
    stored, to_lps = np.asarray(volume.dataobj), LPS_OF_RAS @ volume.affine
    steps = np.linalg.norm(to_lps[:3, :3], axis=0)
    row, column = (to_lps[:3, axis] / steps[axis] for axis in (0, 1))
    common = _headers(description)
    common.ImageOrientationPatient = [decimal_string(float(each)) for each in (*row, *column)]
    common.PixelSpacing = [decimal_string(float(steps[1])), decimal_string(float(steps[0]))]
    common.SliceThickness = decimal_string(float(steps[2]))
    images = []
    for index in range(stored.shape[2]):
        image = Dataset()
        image.update(common)
        image.SOPInstanceUID, image.InstanceNumber = generate_uid(), index + 1
        image.ImagePositionPatient = [decimal_string(float(each)) for each in (to_lps @ (0, 0, index, 1))[:3]]
        plane = np.ascontiguousarray(stored[:, :, index].T, dtype="<i2")
        image.Rows, image.Columns = plane.shape
        image.PixelData = plane.tobytes()
        image["PixelData"].VR = "OW"
        add_meta(image)
        images.append(image)
    return images


def _headers(description: str) -> Dataset:
    """What all images of a series share; nothing but the description tells of contrast agent."""
    image = Dataset()
    image.SOPClassUID = MRImageStorage
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = (generate_uid() for _ in range(3))
    image.StudyDate, image.StudyTime = "20260102", "101500"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Test^Head", "T4", "", ""
    image.AccessionNumber = image.StudyID = image.ReferringPhysicianName = ""
    image.StudyDescription, image.SeriesDescription = "Head MR", description
    image.SeriesNumber, image.Modality, image.Manufacturer = 3, "MR", "Test"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = ["GR", "IR"], ["SP", "MP"], "IR"
    image.MRAcquisitionType, image.EchoTime, image.RepetitionTime, image.InversionTime = "3D", "3", "2300", "900"
    image.EchoTrainLength, image.PositionReferenceIndicator, image.PatientPosition = 1, "", "HFS"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    return image


def phantom(plane: Plane, diameters: tuple[float, ...] = DIAMETERS) -> MrPhantom:
    """A small head after contrast agent, in voxels of 1.5 mm."""
    return make_mr_phantom(SEED, diameters=diameters, plane=plane, spacing_mm=SPACING_MM)


def eager(bundles: Path, root: Path) -> Path:
    """Install a copy of the bundle that takes faint spots for metastases, so that it finds some in every head.

    What its weights have learnt does not matter then; everything else is the bundle's own.

    Returns:
        Its folder.
    """
    original, copy = root / "bundles" / METASTASIS, bundles / METASTASIS
    copy.mkdir(parents=True)
    for part in ("__init__.py", "scripts", "models"):
        (copy / part).symlink_to(original / part)
    shutil.copytree(original / "configs", copy / "configs")
    service = copy / "configs" / "service.yaml"
    contract = yaml.safe_load(service.read_text())
    contract["findings"][0]["threshold"] = 1e-6
    contract["findings"][0]["segmentation"]["limit"] = MOST
    service.write_text(yaml.safe_dump(contract))
    inference = copy / "configs" / "inference.yaml"
    settings = yaml.safe_load(inference.read_text())
    settings.update(mask_threshold=0.05, min_certainty=0.0, min_volume_mm3=20.0)
    inference.write_text(yaml.safe_dump(settings))
    return copy


MOST = 3
"""Lesions that the eager copy tells of; the judge takes minutes over a thousand frames."""
