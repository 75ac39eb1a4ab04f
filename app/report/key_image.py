"""Images of a report as Secondary Capture, for the many viewers that show no structured report."""

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from app.errors import Rejected
from app.findings import Report
from app.report.frames import frame_number
from app.report.instance import add_meta, begin, reference
from app.report.outlines import MaskOf, outlines_on
from app.report.picture import draw
from app.report.shown import Shown, banner, content
from app.report.source import Source, SourceStack
from app.report.uids import report_uid
from app.study import Instance
from bundles.common.contract import Window
from bundles.common.elements import numbers
from bundles.common.headers import FRAME_KEYWORDS, frames_of, read_header
from bundles.common.pixels import open_image, read_frame
from bundles.common.radiograph.grey import normalised
from bundles.common.reader import UnreadableImage, read_stack

SERIES_NUMBER = 9002
UNLIKELY_STRETCH = 4
SQUARE = (1.0, 1.0)
SLICE = "Most suspicious slice, windowed, enlarged, with the finding written below it"
OUTLINED = "Slice that shows most of a lesion, windowed, enlarged, with outlines and the finding below it"
IMAGE = "Radiograph on its own grey scale, with boxes drawn on it and the findings written below it"


def key_image(
    report: Report,
    source: Source,
    shown: Shown,
    window: Window | None,
    made_at: datetime,
    *,
    mask_of: MaskOf | None = None,
) -> Dataset:
    """Draw and encode one image.

    Args:
        report: What it belongs to.
        source: The analysed images.
        shown: What to show, from `shown_images`.
        window: In the units of the reader (HU for CT); None takes the grey scale of radiographs.
        made_at: Local time.
        mask_of: Gives the mask of a finding with lesions.

    Returns:
        A Secondary Capture data set with file meta information, RGB, explicit VR little endian.

    Raises:
        Rejected: The pixels cannot be read, or show nothing.
        Failed: The image is in none of the analysed series, or its frame cannot be found again.
        ValueError: Its file holds several, and nothing tells which one is meant.
    """
    stack, instance = source.find(shown.sop_instance_uid)
    about = content(report, shown)
    frame = about.frame if shown.position is None or instance.frames <= 1 else frame_number(stack, shown.position)
    grey = _grey(_pixels(instance, frame), window)
    outlines, legend = outlines_on(report, shown.index, mask_of) if shown.index is not None else ((), ())
    picture = draw(grey, proportions(stack), banner(report), (*about.lines, *legend), about.marks, outlines=outlines)
    document = _data_set(report, source, instance, picture, made_at)
    if instance.frames > 1 and frame is not None:
        document.SourceImageSequence[0].ReferencedFrameNumber = frame
    if outlines:
        document.DerivationDescription = OUTLINED
    document.SOPInstanceUID = key_image_uid(report, shown.number)
    document.InstanceNumber = shown.number
    # Type 3: "identify the patient" (PS3.3 C.7.6.1.1): what we write does not, what the scanner wrote may.
    document.BurnedInAnnotation = "YES" if stack.burned_in else "NO"
    add_meta(document)
    return document


def key_image_uid(report: Report, number: int) -> str:
    """Name a key image of a report."""
    return report_uid(report, "key_image") if number == 1 else report_uid(report, "key_image", str(number))


def proportions(stack: SourceStack) -> tuple[float, float]:
    """Proportions of the pixels: of the checked geometry, else of the header where it is believable."""
    if stack.series.geometry is not None:
        return stack.series.geometry.pixel_spacing_mm
    told = numbers(stack.header, "ImagerPixelSpacing") or numbers(stack.header, "PixelSpacing")
    if len(told) != 2 or min(told) <= 0 or max(told) > UNLIKELY_STRETCH * min(told):
        return SQUARE
    return told[0], told[1]


def _pixels(instance: Instance, frame: int | None) -> NDArray[np.float32]:
    try:
        if instance.frames > 1:
            return _one_frame(instance, frame)
        (pixels,) = read_stack([instance.path]).array
    except UnreadableImage as error:
        raise Rejected(f"no key image: {error}") from error
    return np.asarray(pixels)


def _one_frame(instance: Instance, frame: int | None) -> NDArray[np.float32]:
    if frame is None or not 1 <= frame <= instance.frames:
        raise ValueError(f"expected the number of one frame of {instance.frames}, got {frame}")
    header = read_header(instance.path, FRAME_KEYWORDS)
    first = frames_of(header)[0]
    pixels = np.empty((first.rows, first.columns), dtype=np.float32)
    read_frame(open_image(instance.path), frame - 1, instance.path, pixels)
    return pixels


def _grey(pixels: NDArray[np.float32], window: Window | None) -> NDArray[np.uint8]:
    """Apply a window (PS3.3 C.11.2.1.2, LINEAR_EXACT), or the grey scale of radiographs: 0 is black, 255 white."""
    if window is None:
        try:
            unit = normalised(pixels)
        except UnreadableImage as error:
            raise Rejected(f"no key image: {error}") from error
    else:
        low = window.center - window.width / 2
        unit = (np.nan_to_num(pixels, nan=low, posinf=low + window.width, neginf=low) - low) / window.width
    grey: NDArray[np.uint8] = np.round(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return grey


def _data_set(
    report: Report, source: Source, instance: Instance, picture: NDArray[np.uint8], made_at: datetime
) -> Dataset:
    document = begin(report, source, SecondaryCaptureImageStorage, "key_image", made_at)
    document.ContentDate, document.ContentTime = document.InstanceCreationDate, document.InstanceCreationTime
    document.Modality = "OT"
    document.ConversionType = "WSD"
    document.SeriesNumber = SERIES_NUMBER
    document.ImageType = ["DERIVED", "SECONDARY"]
    document.PatientOrientation = ""
    # Type 2C for a paired body part (PS3.3 C.7.3.1): whether it is one we are not told, so it is there and empty.
    document.Laterality = ""
    document.DerivationDescription = IMAGE if source.by_image else SLICE
    document.SourceImageSequence = [_source_image(instance)]
    _add_pixels(document, picture)
    return document


def _source_image(instance: Instance) -> Dataset:
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item = reference(instance)
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
