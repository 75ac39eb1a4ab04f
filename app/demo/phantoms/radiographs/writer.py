"""Radiographs as DICOM: CR (PS3.3 A.2) and DX for presentation (PS3.3 A.26), as five imagined systems do."""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from app.demo.phantoms.dicom_writer import add_meta, decimal_string, derived_uid
from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.radiograph import Radiograph, stored

_STUDY_DATE = "20260112"
_REGIONS = MappingProxyType(
    {
        "CHEST": ("Chest", "51185008"),
        "WRIST": ("Wrist joint", "74670003"),
        "HAND": ("Hand", "85562004"),
        "HIP": ("Hip joint", "24136001"),
        "LEG": ("Lower leg", "30021000"),
        "KNEE": ("Knee", "72696002"),
        "FOOT": ("Foot", "56459004"),
        "ELBOW": ("Elbow joint", "16953009"),
        "SHOULDER": ("Shoulder", "16982005"),
        "ABDOMEN": ("Abdomen", "818983003"),
        "SKULL": ("Skull", "89546000"),
    }
)
_VIEWS = MappingProxyType(
    {
        "PA": ("postero-anterior", "272479007"),
        "AP": ("antero-posterior", "399348003"),
        "LL": ("left lateral", "399173006"),
        "LATERAL": ("lateral", "399067008"),
    }
)
_DESCRIPTIONS = MappingProxyType({part: part.capitalize() for part in _REGIONS})


@dataclass(frozen=True, slots=True)
class System:
    """Habits of one maker's headers.

    Attributes:
        manufacturer, model: As the header says; every model is named a phantom.
        modality: CR or DX.
        bits: BitsStored.
        inverted: MONOCHROME1: bone is stored dark.
        window: Whether a window is given, narrower than all values.
        silent: Nothing is said about body part, view and spacing (CR alone may be silent).
    """

    manufacturer: str
    model: str
    modality: str
    bits: int
    inverted: bool
    window: bool
    silent: bool


SYSTEMS: MappingProxyType[str, System] = MappingProxyType(
    {
        "agfa": System("Agfa", "Phantom A", "CR", 12, inverted=True, window=True, silent=False),
        "fuji": System("FUJIFILM Corporation", "Phantom F", "CR", 10, inverted=True, window=True, silent=False),
        "kodak": System("CARESTREAM", "Phantom K", "CR", 12, inverted=False, window=False, silent=True),
        "siemens": System("SIEMENS", "Phantom X", "DX", 14, inverted=False, window=True, silent=False),
        "philips": System("Philips", "Phantom D", "DX", 12, inverted=True, window=True, silent=False),
    }
)


def system_of(seed: int) -> System:
    """Which system the seed draws."""
    return SYSTEMS[str(stream(seed, "radiograph system").choice(list(SYSTEMS)))]


def _code(meaning: str, value: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def study_uid(radiograph: Radiograph, token: str = "") -> UID:
    """StudyInstanceUID of a radiograph: two pictures of one seed and body part share it."""
    return derived_uid(f"radiograph {radiograph.seed} {radiograph.body_part}", f"study {token}")


def _identity(radiograph: Radiograph, token: str, number: int) -> Dataset:
    """Patient, study, series and instance."""
    image, seed = Dataset(), radiograph.seed
    rng = stream(seed, "radiograph headers")
    clock = f"{int(rng.integers(24)):02d}{int(rng.integers(60)):02d}00"
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = _STUDY_DATE
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = clock
    image.AccessionNumber, image.StudyID = f"PR{seed % 10**12}", "1"
    image.ReferringPhysicianName = ""
    image.StudyDescription = f"Phantom {_DESCRIPTIONS[radiograph.body_part].lower()}"
    image.PatientName, image.PatientID = f"Phantom^Radiograph {seed}", f"PHANTOM-{radiograph.body_part}-{seed}"
    image.PatientSex, image.PatientAge = radiograph.sex, f"{radiograph.age:03d}Y"
    image.PatientBirthDate = f"{2026 - radiograph.age}0101"
    image.PatientIdentityRemoved = "NO"
    image.StudyInstanceUID = study_uid(radiograph, token)
    parent = f"radiograph {seed} {radiograph.kind} {radiograph.view}"
    image.SeriesInstanceUID = derived_uid(parent, f"series {number} {token}")
    image.SOPInstanceUID = derived_uid(parent, f"image {number} {token}")
    image.SeriesNumber, image.InstanceNumber, image.AcquisitionNumber = number, 1, 1
    image.PatientOrientation = ["A", "F"] if radiograph.view in {"LL", "LATERAL"} else ["L", "F"]
    image.KVP = "55" if radiograph.body_part != "CHEST" else str(rng.choice([90, 110, 125]))
    image.SoftwareVersions = "phantom generator"
    return image


def _say_view(image: Dataset, radiograph: Radiograph, system: System) -> None:
    """Body part, view, side and spacing, as far as this system says them."""
    image.Modality, image.Manufacturer, image.ManufacturerModelName = system.modality, system.manufacturer, system.model
    spacing = [decimal_string(radiograph.pitch_mm)] * 2
    if system.silent:
        # Type 2C for paired parts: a silent system leaves it empty and does not know which part it has.
        image.BodyPartExamined = image.ViewPosition = image.Laterality = ""
        return
    image.BodyPartExamined = radiograph.body_part
    view = "" if system.modality == "DX" and radiograph.view == "LATERAL" else radiograph.view
    image.ViewPosition = view
    image.SeriesDescription = f"{_DESCRIPTIONS[radiograph.body_part]} {radiograph.view}".strip()
    image.ImagerPixelSpacing = spacing
    if system.modality == "CR":
        image.PixelSpacing = spacing
        if radiograph.side:
            image.Laterality = radiograph.side


def _digital(image: Dataset, radiograph: Radiograph, system: System) -> None:
    """What only DX images must say."""
    image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.PresentationIntentType = "FOR PRESENTATION"
    # An unpaired part, such as the chest, is U (PS3.3 C.8.11.2).
    image.ImageLaterality = radiograph.side or "U"
    image.AnatomicRegionSequence = Sequence([_code(*_REGIONS[radiograph.body_part])])
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", 1 if system.inverted else -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "US"
    image.PresentationLUTShape = "INVERSE" if system.inverted else "IDENTITY"
    image.LossyImageCompression = "00"
    image.DetectorType, image.PositionerType = "SCINTILLATOR", "NONE"
    view = _code(*_VIEWS[radiograph.view])
    view.ViewModifierCodeSequence = Sequence([])
    image.ViewCodeSequence = Sequence([view])
    image.AcquisitionContextSequence = Sequence([])


def _pixels(image: Dataset, radiograph: Radiograph, system: System) -> None:
    values = stored(radiograph.picture, system.bits)
    if system.inverted:
        values = (2**system.bits - 1 - values).astype(np.uint16)
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME1" if system.inverted else "MONOCHROME2"
    image.Rows, image.Columns = values.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = (
        16,
        system.bits,
        system.bits - 1,
        0,
    )
    image.BurnedInAnnotation = "YES" if radiograph.details.get("burned_text") else "NO"
    if system.window or system.modality == "DX":
        low, high = np.percentile(values, [0.5, 99.5])
        image.WindowCenter = decimal_string(round(float(low + high) / 2, 1))
        image.WindowWidth = decimal_string(max(round(float(high - low), 1), 1.0))
    image.PixelData = values.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"


def to_dataset(radiograph: Radiograph, *, system: System | None = None, token: str = "", number: int = 1) -> Dataset:
    """A radiograph as one DICOM image with file meta information.

    Args:
        radiograph: The picture; bone is bright in it.
        system: Whose habits the headers follow; None lets the seed decide.
        token: Of a run: another token gives other UIDs.
        number: Of the series in the study.
    """
    system = system_of(radiograph.seed) if system is None else system
    image = _identity(radiograph, token, number)
    image.ImageType = ["ORIGINAL", "PRIMARY", ""] if system.modality == "DX" else ["ORIGINAL", "PRIMARY"]
    _say_view(image, radiograph, system)
    if system.modality == "DX":
        _digital(image, radiograph, system)
    else:
        image.SOPClassUID = ComputedRadiographyImageStorage
    _pixels(image, radiograph, system)
    add_meta(image)
    return image
