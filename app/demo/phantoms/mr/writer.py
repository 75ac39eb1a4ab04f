"""MR phantoms as DICOM: MR Image Storage series with the headers of three imagined scanners (PS3.3 A.4).

Patients are named as phantoms, UIDs come from the seed under 2.25.
"""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, MRImageStorage

from app.demo.phantoms.dicom_writer import add_meta, decimal_string, uid
from app.demo.phantoms.fields import stream
from app.demo.phantoms.mr.phantom import MrPhantom

_STUDY_DATE = "20260119"
_AGENTS = ("Gadovist", "DOTAREM", "ProHance 10 ml")


@dataclass(frozen=True, slots=True)
class Scanner:
    """Habits of one maker's MR headers.

    Attributes:
        manufacturer, model: As the header says; every model is named a phantom.
        image_type: ImageType.
        bits: BitsStored; 16 are signed, as GE stores them.
        white: Stored value of white matter.
        sequence: SequenceName; "" where the maker does not say.
        variant, options: SequenceVariant and ScanOptions.
        times_ms: Repetition, echo and inversion time.
        tells: SeriesDescription after contrast agent, where it says so, by plane's word.
        plain: SeriesDescription that tells nothing of contrast agent.
        planes: The maker's words for sagittal, axial and coronal.
        descending: Whether instance numbers run against the slice normal.
    """

    manufacturer: str
    model: str
    image_type: tuple[str, ...]
    bits: int
    white: float
    sequence: str
    variant: tuple[str, ...]
    options: str
    times_ms: tuple[str, str, str]
    tells: str
    plain: str
    planes: tuple[str, str, str]
    descending: bool


SCANNERS: MappingProxyType[str, Scanner] = MappingProxyType(
    {
        "siemens": Scanner(
            manufacturer="SIEMENS",
            model="Phantom M",
            image_type=("ORIGINAL", "PRIMARY", "M", "ND", "NORM"),
            bits=12,
            white=310.0,
            sequence="*tfl3d1_16ns",
            variant=("SK", "SP", "MP"),
            options="IR",
            times_ms=("2300", "2.98", "900"),
            tells="t1_mprage_{}_p2_iso_KM",
            plain="t1_mprage_{}_p2_iso",
            planes=("sag", "tra", "cor"),
            descending=False,
        ),
        "ge": Scanner(
            manufacturer="GE MEDICAL SYSTEMS",
            model="Phantom N",
            image_type=("ORIGINAL", "PRIMARY", "OTHER"),
            bits=16,
            white=2600.0,
            sequence="",
            variant=("SS", "SP", "SK"),
            options="FAST_GEMS",
            times_ms=("8.2", "3.2", "450"),
            tells="{} 3D T1 BRAVO +C",
            plain="{} 3D T1 BRAVO",
            planes=("Sag", "Ax", "Cor"),
            descending=True,
        ),
        "philips": Scanner(
            manufacturer="Philips",
            model="Phantom Q",
            image_type=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
            bits=12,
            white=520.0,
            sequence="",
            variant=("MP",),
            options="FS",
            times_ms=("7.6", "3.5", "950"),
            tells="T1W_3D_TFE_{}_GD",
            plain="T1W_3D_TFE_{}",
            planes=("SAG", "TRA", "COR"),
            descending=False,
        ),
    }
)


def scanner_of(seed: int) -> Scanner:
    """Which scanner the seed draws."""
    return SCANNERS[str(stream(seed, "mr scanner make").choice(list(SCANNERS)))]


def stored_values(phantom: MrPhantom, scanner: Scanner) -> NDArray[np.uint16] | NDArray[np.int16]:
    """What this scanner stores, (slices, rows, columns): 12 bits unsigned or 16 bits signed, never negative."""
    top = 4095 if scanner.bits == 12 else 32767
    values = np.asarray(np.clip(np.rint(phantom.volume * np.float32(scanner.white)), 0, top))
    return values.astype(np.uint16) if scanner.bits == 12 else values.astype(np.int16)


def says_agent(phantom: MrPhantom) -> bool:
    """Whether the header names the contrast agent: in six of ten heads that had it."""
    return phantom.signals.enhanced and bool(stream(phantom.seed, "mr agent said").random() < 0.6)


def description(phantom: MrPhantom, scanner: Scanner) -> str:
    """SeriesDescription; after contrast agent it says so in seven of ten heads, else it looks like one without."""
    word = dict(zip(("sagittal", "axial", "coronal"), scanner.planes, strict=True))[phantom.scan.plane]
    told = phantom.signals.enhanced and stream(phantom.seed, "mr description").random() < 0.7
    return (scanner.tells if told else scanner.plain).format(word)


def series_uid(seed: int, number: int, token: str = "") -> UID:
    """SeriesInstanceUID of one series of an MR phantom."""
    return uid(seed, f"mr series {number}", token)


def _identity(phantom: MrPhantom, token: str, number: int) -> Dataset:
    """Patient, study, series and frame of reference."""
    image, seed = Dataset(), phantom.seed
    rng = stream(seed, "mr headers")
    clock = f"{int(rng.integers(24)):02d}{int(rng.integers(60)):02d}{number:02d}"
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = _STUDY_DATE
    image.StudyTime = f"{clock[:4]}00"
    image.SeriesTime = image.AcquisitionTime = image.ContentTime = clock
    image.AccessionNumber, image.StudyID, image.ReferringPhysicianName = f"PM{seed % 10**12}", "1", ""
    image.StudyDescription = "Phantom head MR"
    image.PatientName, image.PatientID = f"Phantom^MR {seed}", f"PHANTOM-MR-{seed}"
    image.PatientSex, image.PatientAge = str(rng.choice(["F", "M", "O"])), f"{round(phantom.head.age):03d}Y"
    image.PatientBirthDate = f"{2026 - round(phantom.head.age)}0101"
    image.PatientWeight, image.PatientIdentityRemoved = str(int(rng.integers(50, 100))), "NO"
    image.StudyInstanceUID = uid(seed, "mr study", token)
    image.SeriesInstanceUID = series_uid(seed, number, token)
    image.FrameOfReferenceUID = uid(seed, "mr frame", token)
    image.PositionReferenceIndicator, image.PatientPosition = "", "HFS"
    image.SeriesNumber, image.AcquisitionNumber = number, 1
    if rng.random() < 0.6:
        image.BodyPartExamined = str(rng.choice(["HEAD", "BRAIN"]))
    else:
        # Type 2C for paired parts: who does not name the part leaves it empty.
        image.Laterality = ""
    return image


def _sequence(image: Dataset, phantom: MrPhantom, scanner: Scanner) -> None:
    """Maker, pulse sequence and contrast agent."""
    seed = phantom.seed
    image.Modality, image.Manufacturer, image.ManufacturerModelName = "MR", scanner.manufacturer, scanner.model
    image.SoftwareVersions, image.ImageType = "phantom generator", list(scanner.image_type)
    image.SeriesDescription = image.ProtocolName = description(phantom, scanner)
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = (
        ["GR", "IR"],
        list(scanner.variant),
        scanner.options,
    )
    if scanner.sequence:
        image.SequenceName = scanner.sequence
    image.MRAcquisitionType, image.AngioFlag = "3D", "N"
    image.RepetitionTime, image.EchoTime, image.InversionTime = scanner.times_ms
    image.EchoTrainLength, image.FlipAngle, image.NumberOfAverages = 1, "9", "1"
    image.MagneticFieldStrength = str(stream(seed, "mr field").choice(["1.5", "3"]))
    image.ImagedNucleus, image.InPlanePhaseEncodingDirection = "1H", "COL"
    if says_agent(phantom):
        image.ContrastBolusAgent = str(stream(seed, "mr agent").choice(_AGENTS))


def _pixels(image: Dataset, stored: NDArray[np.uint16] | NDArray[np.int16], scanner: Scanner) -> None:
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, scanner.bits, scanner.bits - 1
    image.PixelRepresentation = int(stored.dtype == np.int16)
    image.WindowCenter = decimal_string(round(scanner.white, 1))
    image.WindowWidth = decimal_string(round(2 * scanner.white, 1))
    image.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    image["PixelData"].VR = "OW"


def to_datasets(
    phantom: MrPhantom, *, scanner: Scanner | None = None, token: str = "", number: int = 2
) -> list[Dataset]:
    """A phantom as MR images, in the order of the array.

    Args:
        phantom: What was scanned.
        scanner: Whose habits the headers follow; None lets the seed decide.
        token: Of a run: another token gives other UIDs, so that a repeated demo sends new studies.
        number: Of the series in the study.

    Returns:
        One data set a slice, with file meta information, ready for `pydicom.dcmwrite`.
    """
    scanner = scanner_of(phantom.seed) if scanner is None else scanner
    scan = phantom.scan
    stored = stored_values(phantom, scanner)
    orientation = [decimal_string(float(v)) for v in (*scan.row_direction, *scan.column_direction)]
    normal = np.cross(scan.row_direction, scan.column_direction)
    images = []
    for index, origin in enumerate(scan.origins):
        image = _identity(phantom, token, number)
        _sequence(image, phantom, scanner)
        image.SOPClassUID = MRImageStorage
        image.SOPInstanceUID = uid(phantom.seed, f"mr image {number} {index}", token)
        image.InstanceNumber = len(stored) - index if scanner.descending else index + 1
        image.ImagePositionPatient = [decimal_string(float(v)) for v in origin]
        image.ImageOrientationPatient = orientation
        image.SliceLocation = decimal_string(float(origin @ normal))
        image.SliceThickness = decimal_string(scan.slice_mm)
        image.PixelSpacing = [decimal_string(scan.pixel_mm)] * 2
        _pixels(image, stored[index], scanner)
        add_meta(image)
        images.append(image)
    return images
