"""Copies of images for training: what it takes to read them, and nothing that says whose they are.

Elements are kept by name, and all others left out, private ones and overlays too: whatever nobody thought of does not
get through (PS3.15 Annex E keeps a list of what to remove; this is the other way round, and stricter). UIDs and the
patient get pseudonyms, the same each time. What is burnt into pixels stays: a person has to look.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ImplicitVRLittleEndian

from app.errors import Rejected
from bundles.common.headers import FRAME_KEYWORDS
from bundles.common.pixels import PIXEL_KEYWORDS

METHOD = "elements of geometry and pixels kept, all others removed"
UIDS = frozenset({"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"})
KEPT = frozenset(
    {
        *FRAME_KEYWORDS,
        *PIXEL_KEYWORDS,
        *UIDS,
        # What the groups of multi-frame images hold (PS3.3 C.7.6.16).
        "PixelMeasuresSequence",
        "PlaneOrientationSequence",
        "PlanePositionSequence",
        "PixelValueTransformationSequence",
        "SpacingBetweenSlices",
        # Modality LUTs and windows (PS3.3 C.11).
        "LUTDescriptor",
        "LUTData",
        "ModalityLUTType",
        "WindowCenter",
        "WindowWidth",
        "VOILUTFunction",
        # What training may ask: which part, from where, how it was encoded.
        "BodyPartExamined",
        "ViewPosition",
        "ImageLaterality",
        "Laterality",
        "PresentationIntentType",
        "BurnedInAnnotation",
        "LossyImageCompression",
        "PlanarConfiguration",
        "SeriesNumber",
        "PixelData",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
    }
)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names that nobody can trace back without the key.

    Attributes:
        key: Secret of the installation.
    """

    key: bytes

    def patient(self, identity: str) -> str:
        """Of a patient: 16 hexadecimal digits."""
        return self._digest("patient", identity).hex()[:16]

    def uid(self, uid: str) -> UID:
        """Of a UID: one of 128 bits (PS3.5 B.2)."""
        return UID(f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}")

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.new(self.key, f"{purpose}|{text}".encode("utf-8", "surrogateescape"), sha256).digest()


def patient_of(path: Path) -> str:
    """Who an image is of, as its sender numbers people: issuer and PatientID; "" where it does not say.

    Raises:
        Rejected: It cannot be read.
    """
    found = _read(
        path, lambda: dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "IssuerOfPatientID"])
    )
    number = str(found.get("PatientID", "") or "").strip()
    return f"{str(found.get('IssuerOfPatientID', '') or '').strip()}|{number}" if number else ""


def copy_image(source: Path, target: Path, pseudonyms: Pseudonyms, patient: str) -> None:
    """Write a copy that says nothing of the patient; its pixels stay as they are, compressed ones too.

    Args:
        source: A DICOM file.
        target: Where to; its folder is there.
        pseudonyms: For UIDs.
        patient: Pseudonym.

    Raises:
        Rejected: The source cannot be read.
    """
    image = _read(source, lambda: dcmread(source))
    syntax = image.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    copy = _kept(image, pseudonyms)
    copy.PatientID = patient
    copy.PatientName = patient
    copy.PatientIdentityRemoved = "YES"
    copy.DeidentificationMethod = METHOD
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = syntax
    copy.file_meta.MediaStorageSOPClassUID = copy.get("SOPClassUID", "")
    copy.file_meta.MediaStorageSOPInstanceUID = copy.get("SOPInstanceUID", "")
    copy.save_as(target, enforce_file_format=True, overwrite=True)


def _kept(dataset: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    copy = Dataset()
    for element in dataset:
        keyword = keyword_for_tag(element.tag)
        if keyword not in KEPT:
            continue
        if element.VR == "SQ":
            setattr(copy, keyword, [_kept(item, pseudonyms) for item in element.value])
        elif keyword in UIDS:
            setattr(copy, keyword, pseudonyms.uid(str(element.value)))
        else:
            copy[element.tag] = element
    return copy


def _read(path: Path, read: Callable[[], FileDataset]) -> FileDataset:
    try:
        return read()
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise Rejected(f"{path.name}: cannot be read as DICOM ({type(error).__name__})") from error
