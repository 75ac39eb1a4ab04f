"""How the images of a presentation state are shown: modality LUT, window, polarity, pixels (PS3.3 C.11, C.10.4).

A presentation state replaces what an image says of itself, so that all of it has to be said again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from app.errors import Failed, Rejected
from app.report.key_image import proportions
from app.report.source import SourceStack
from app.study import Instance
from bundles.common.contract import Window
from bundles.common.elements import integer, item, numbers, text
from bundles.common.headers import UnreadableImage, read_header

KEYWORDS = (
    "SpecificCharacterSet",
    "Modality",
    "Rows",
    "Columns",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
Where = tuple[Dataset, int | None]
"""An image, and which of its frames, from 1; None for all of it."""
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
FINENESS = 1000
"""Of the aspect ratio, which is a pair of integers."""


@dataclass(frozen=True, slots=True)
class GreyScale:
    """How one image is to be shown.

    Attributes:
        rows, columns: Its size.
        aspect: Height to width of a pixel.
        inverse: Whether low values are bright.
        rescale: Slope, intercept, type; () without.
        lut: Its Modality LUT, in place of `rescale`.
        voi: Its own window or VOI LUT; empty without.
    """

    rows: int
    columns: int
    aspect: tuple[int, int]
    inverse: bool
    rescale: tuple[str, str, str] | tuple[()]
    lut: Dataset | None
    voi: Dataset


def read_grey_scale(stack: SourceStack, instance: Instance, frame: int | None) -> GreyScale:
    """Read how an image, or one frame of it, says it is to be shown.

    Raises:
        Failed: The file cannot be read any more.
    """
    try:
        header: Dataset = read_header(instance.path, KEYWORDS).dataset
    except UnreadableImage as error:
        raise Failed(f"no presentation state: {error}") from error
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if not rows or not columns:
        raise Failed("no presentation state: an image does not say how many rows and columns it has")
    dark_is_high = (
        text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
        or text(header, "PresentationLUTShape").upper() == "INVERSE"
    )
    return GreyScale(
        rows=rows,
        columns=columns,
        aspect=_aspect(proportions(stack)),
        inverse=dark_is_high,
        rescale=_rescale(header, _group(header, "PixelValueTransformationSequence", frame)),
        lut=item(header, "ModalityLUTSequence", 0),
        voi=_own(_group(header, "FrameVOILUTSequence", frame)),
    )


def apply_grey_scales(document: Dataset, shown: Sequence[tuple[Where, GreyScale]], window: Window | None) -> None:
    """Say how each image is shown.

    Args:
        document: A presentation state.
        shown: Each image, or frame, that it is about, with its grey scale.
        window: In place of the images' own.

    Raises:
        Rejected: Images differ in their rescaling or polarity, of which a presentation state has one for all.
    """
    scales = [scale for _, scale in shown]
    first = scales[0]
    if any((scale.rescale, scale.lut, scale.inverse) != (first.rescale, first.lut, first.inverse) for scale in scales):
        raise Rejected(
            "no presentation state: the images are rescaled or inverted differently, and one state has one way for all"
        )
    if first.lut is not None:
        document.ModalityLUTSequence = [first.lut]
    elif first.rescale:
        document.RescaleSlope, document.RescaleIntercept, document.RescaleType = first.rescale
    document.PresentationLUTShape = "INVERSE" if first.inverse else "IDENTITY"
    document.DisplayedAreaSelectionSequence = [
        _with_images(_area(scale), [image for image, other in shown if _shape(other) == shape], shown)
        for shape, scale in {_shape(scale): scale for scale in scales}.items()
    ]
    if window is not None:
        document.SoftcopyVOILUTSequence = [_window(window)]
    elif different := _different([scale.voi for scale in scales if len(scale.voi)]):
        document.SoftcopyVOILUTSequence = [
            _with_images(own, [image for image, scale in shown if scale.voi == own], shown) for own in different
        ]


def _different(voi: Sequence[Dataset]) -> list[Dataset]:
    kept: list[Dataset] = []
    for each in voi:
        if each not in kept:
            kept.append(each)
    return [_copy(each) for each in kept]


def _copy(item_: Dataset) -> Dataset:
    copied = Dataset()
    copied.update(item_)
    return copied


def _shape(scale: GreyScale) -> tuple[int, int, tuple[int, int]]:
    return scale.rows, scale.columns, scale.aspect


def _area(scale: GreyScale) -> Dataset:
    """The whole image, as large as fits (PS3.3 C.10.4)."""
    area = Dataset()
    area.PixelOriginInterpretation = "FRAME"
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [scale.columns, scale.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = list(scale.aspect)
    return area


def _with_images(about: Dataset, images: Sequence[Where], shown: Sequence[tuple[Where, GreyScale]]) -> Dataset:
    """Name the images that an item is about, where it is not about all."""
    if len(images) == len(shown):
        return about
    frames: dict[tuple[str, str], list[int]] = {}
    for image, frame in images:
        frames.setdefault((image.SOPClassUID, image.SOPInstanceUID), []).extend([] if frame is None else [frame])
    references = []
    for (sop_class, uid), chosen in frames.items():
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sop_class, uid
        if chosen:
            reference.ReferencedFrameNumber = chosen
        references.append(reference)
    about.ReferencedImageSequence = references
    return about


def _aspect(spacing: tuple[float, float]) -> tuple[int, int]:
    high, wide = (max(1, round(FINENESS * side / max(spacing))) for side in spacing)
    common = gcd(high, wide)
    return high // common, wide // common


def _group(header: Dataset, keyword: str, frame: int | None) -> Dataset:
    """The item that holds for a frame of an enhanced image (PS3.3 C.7.6.16), else the data set itself."""
    for groups in (
        None if frame is None else item(header, "PerFrameFunctionalGroupsSequence", frame - 1),
        item(header, "SharedFunctionalGroupsSequence", 0),
    ):
        found = item(groups, keyword, 0)
        if found is not None:
            return found
    return header


def _rescale(header: Dataset, group: Dataset) -> tuple[str, str, str] | tuple[()]:
    slope, intercept = numbers(group, "RescaleSlope"), numbers(group, "RescaleIntercept")
    if len(slope) != 1 or len(intercept) != 1 or slope[0] == 0:
        return ()
    kind = text(group, "RescaleType") or ("HU" if text(header, "Modality") == "CT" else "US")
    return format_number_as_ds(slope[0]), format_number_as_ds(intercept[0]), kind


def _own(group: Dataset) -> Dataset:
    voi = Dataset()
    centre, width = numbers(group, "WindowCenter"), numbers(group, "WindowWidth")
    if centre and len(centre) == len(width) and min(width) >= 1:
        voi.WindowCenter = [format_number_as_ds(value) for value in centre]
        voi.WindowWidth = [format_number_as_ds(value) for value in width]
        if (function := text(group, "VOILUTFunction").upper()) in FUNCTIONS:
            voi.VOILUTFunction = function
    elif (lut := item(group, "VOILUTSequence", 0)) is not None:
        voi.VOILUTSequence = [lut]
    return voi


def _window(window: Window) -> Dataset:
    voi = Dataset()
    voi.WindowCenter, voi.WindowWidth = (
        format_number_as_ds(float(window.center)),
        format_number_as_ds(float(window.width)),
    )
    return voi
