"""The most suspicious slice as Secondary Capture, for the many viewers that show no structured report."""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from app.errors import Rejected
from app.findings import Finding, Presence, Report, SliceScore
from app.report.source import Source
from app.report.sr import MANUFACTURER
from app.report.uids import report_uid
from app.report.words import disclaimer, fitted, most_suspicious
from app.study import Instance
from app.words import percents
from bundles.common.contract import Window
from bundles.common.reader import UnreadableImage, read_stack

SERIES_NUMBER = 9002
SMALLEST_SIDE = 768
FONT_SIZE = 20
STRIP = 34
PHANTOM_BANNER = "RESEARCH ONLY - PHANTOM WEIGHTS"
RESEARCH_BANNER = "RESEARCH ONLY - NOT FOR CLINICAL USE"
YELLOW, WHITE, RED, BLACK = (255, 221, 0), (255, 255, 255), (150, 0, 0), (0, 0, 0)


def shown_slice(report: Report) -> SliceScore | None:
    """Choose the slice to show: the most suspicious one of the main finding, found or not.

    None where nothing was determined, since a picture would look like an answer, and where the algorithm does not
    score slices, since any choice would be ours.
    """
    main = next(iter(report.findings), None)
    return None if main is None or main.presence is Presence.UNDETERMINED else most_suspicious(main)


def key_image(report: Report, source: Source, score: SliceScore, window: Window | None, made_at: datetime) -> Dataset:
    """Draw and encode one slice.

    Args:
        report: What to write below the slice.
        source: The analysed series.
        score: The slice, from `shown_slice`.
        window: In the units of the reader (HU for CT); None takes the slice's own range.
        made_at: Local time.

    Returns:
        A Secondary Capture data set with file meta information, RGB, explicit VR little endian.

    Raises:
        Rejected: The pixels of the slice cannot be read.
        ValueError: The slice is not in the series, or its file holds several.
    """
    instance = next((i for i in source.series.instances if i.sop_instance_uid == score.sop_instance_uid), None)
    if instance is None:
        raise ValueError("the scored slice is not in the series")
    spacing = source.series.geometry.pixel_spacing_mm if source.series.geometry else (1.0, 1.0)
    picture = draw(_grey(_pixels(instance.path), window), spacing, banner(report), caption(report, score))
    return _data_set(report, source, instance, picture, made_at)


def banner(report: Report) -> str:
    """What is burned in above the slice; "" for a cleared algorithm."""
    if not report.algorithm.research_only:
        return ""
    return PHANTOM_BANNER if report.algorithm.trained_on_phantoms else RESEARCH_BANNER


def caption(report: Report, score: SliceScore) -> str:
    """The one line below the slice: the answer, the number behind it with its threshold, the slice.

    The number is a probability only where it was calibrated; it is that of the whole series, not of the slice.
    """
    main = report.findings[0]
    name = main.kind.replace("_", " ").capitalize()
    where = f"slice {score.index + 1} of {len(main.slices)}"
    found = "present" if main.presence is Presence.PRESENT else "not found"
    return f"{name}: {found} - {_numbers(main)}; most suspicious: {where}"


def _numbers(finding: Finding) -> str:
    """The number that gave the answer, by its name, and the one it was held against."""
    if finding.certainty is None or finding.threshold is None:
        return "no number"
    number, threshold = percents(finding.certainty, finding.threshold, fewest_decimals=1)
    return f"{'probability' if finding.calibrated else 'score'} {number} %, threshold {threshold} %"


def draw(grey: NDArray[np.uint8], spacing_mm: tuple[float, float], above: str, below: str) -> NDArray[np.uint8]:
    """Enlarge a slice with square pixels and write above and below it, never on it.

    Args:
        grey: (rows, columns).
        spacing_mm: (between rows, between columns).
        above: On a red strip; no strip where empty.
        below: On a black strip.

    Returns:
        RGB, (height, width, 3).
    """
    rows, columns = grey.shape
    millimetres = (rows * spacing_mm[0], columns * spacing_mm[1])
    scale = max(SMALLEST_SIDE, rows, columns) / max(millimetres)
    height, width = (max(1, round(side * scale)) for side in millimetres)
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    font_width = max(width, SMALLEST_SIDE)
    top = STRIP if above else 0
    canvas = Image.new("RGB", (font_width, height + top + STRIP), BLACK)
    canvas.paste(image, ((font_width - width) // 2, top))
    pen = ImageDraw.Draw(canvas)
    if above:
        pen.rectangle((0, 0, font_width, STRIP - 1), fill=RED)
        _write(pen, above, (font_width, STRIP // 2), YELLOW)
    _write(pen, below, (font_width, top + height + STRIP // 2), WHITE)
    return np.asarray(canvas)


def _write(pen: ImageDraw.ImageDraw, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    width, middle = at
    size = FONT_SIZE
    font = ImageFont.load_default(size)
    while pen.textlength(text, font=font) > width - 16 and size > FONT_SIZE // 2:
        size -= 1
        font = ImageFont.load_default(size)
    pen.text((width // 2, middle), text, fill=colour, font=font, anchor="mm")


def _pixels(path: Path) -> NDArray[np.float32]:
    try:
        stack = read_stack([path]).array
    except UnreadableImage as error:
        raise Rejected(f"no key image: {error}") from error
    if stack.ndim != 3 or len(stack) != 1:
        raise ValueError(f"expected one slice, got an array of shape {stack.shape}")
    pixels: NDArray[np.float32] = stack[0]
    return pixels


def _grey(slice_: NDArray[np.float32], window: Window | None) -> NDArray[np.uint8]:
    """Apply a window (PS3.3 C.11.2.1.2, LINEAR_EXACT): 0 is black, 255 white."""
    if window is None:
        low, high = (float(value) for value in np.percentile(slice_, (1, 99)))
    else:
        low, high = window.center - window.width / 2, window.center + window.width / 2
    unit = (np.nan_to_num(slice_, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-6)
    grey: NDArray[np.uint8] = np.round(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return grey


def _data_set(
    report: Report, source: Source, instance: Instance, picture: NDArray[np.uint8], made_at: datetime
) -> Dataset:
    document = Dataset()
    for tag in source.identity.keys():  # noqa: SIM118  iterating over the data set would decode its elements
        document[tag] = source.identity.get_item(tag)
    document.SOPClassUID = SecondaryCaptureImageStorage
    document.SOPInstanceUID = report_uid(report, "key_image")
    document.StudyInstanceUID = report.study_uid
    document.SeriesInstanceUID = report_uid(report, "key_image", "series")
    document.Modality = "OT"
    document.ConversionType = "WSD"
    document.SeriesNumber = SERIES_NUMBER
    document.InstanceNumber = 1
    document.SeriesDescription = disclaimer(report.algorithm) or fitted(report.algorithm.title or report.algorithm.name)
    document.Manufacturer = MANUFACTURER
    document.ManufacturerModelName = fitted(report.algorithm.name)
    document.SoftwareVersions = fitted(report.algorithm.version)
    document.ImageType = ["DERIVED", "SECONDARY"]
    document.InstanceCreationDate = document.ContentDate = made_at.strftime("%Y%m%d")
    document.InstanceCreationTime = document.ContentTime = made_at.strftime("%H%M%S.%f")
    document.PatientOrientation = ""
    # Type 2C for a paired body part (PS3.3 C.7.3.1): whether it is one we are not told, so it is there and empty.
    document.Laterality = ""
    # Type 3: "identify the patient" (PS3.3 C.7.6.1.1): what we write does not, what the scanner wrote may.
    document.BurnedInAnnotation = "YES" if source.burned_in else "NO"
    document.DerivationDescription = "Most suspicious slice, windowed, enlarged, with the finding written below it"
    document.SourceImageSequence = [_source_image(instance)]
    _add_pixels(document, picture)
    _add_meta(document)
    return document


def _source_image(instance: Instance) -> Dataset:
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _add_pixels(document: Dataset, picture: NDArray[np.uint8]) -> None:
    document.Rows, document.Columns, document.SamplesPerPixel = picture.shape
    document.PhotometricInterpretation = "RGB"
    document.PlanarConfiguration = 0
    document.BitsAllocated = document.BitsStored = 8
    document.HighBit = 7
    document.PixelRepresentation = 0
    content = picture.tobytes()
    document.PixelData = content + b"\0" * (len(content) % 2)
    document["PixelData"].VR = "OB"


def _add_meta(document: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.file_meta = meta
