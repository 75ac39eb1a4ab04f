"""What was found, drawn over the source images themselves: Grayscale Softcopy Presentation State (PS3.3 A.33.1).

A viewer lays its lines and words over the images as they are; nothing is burned in. Words and choice of images are
those of the key images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    TextJustificationValues,
    TextObject,
)
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from app.contours import Points, outline
from app.errors import Failed
from app.findings import RegionKind, Report
from app.report.frames import frame_number
from app.report.grey_scale import GreyScale, apply_grey_scales, read_grey_scale
from app.report.instance import add_meta, begin
from app.report.outlines import MaskOf, Outline, outlines_on
from app.report.picture import CYAN, YELLOW
from app.report.shown import Mark, Shown, content, shown_images
from app.report.source import Source
from app.report.uids import report_uid
from app.report.words import disclaimer, fitted, plain, shown_lesions, shown_regions
from app.study import Instance
from bundles.common.contract import Window

SERIES_NUMBER = 9004
KIND = "presentation"
FOUND, LOOKED = "VIGIL", "VIGIL_ATTENTION"
DASHES = 9
"""On each side of a dashed box: dashes, and the gaps between them. As lines of their own, since few viewers know Line
Style Sequence (0070,0232)."""
LONGEST_TEXT = 1024
TOP = (0.01, 0.01, 0.99, 0.12)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What is drawn on one image, or on one of its frames."""

    image: Dataset
    frame: int | None
    scale: GreyScale
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    outlines: tuple[Outline, ...]


def has_presentation(report: Report) -> bool:
    """Whether there is anything to draw: a region or a lesion of a finding that is present."""
    return any(shown_regions(finding) or shown_lesions(finding) for finding in report.findings)


def presentation_state(
    report: Report, source: Source, window: Window | None, made_at: datetime, *, mask_of: MaskOf | None = None
) -> Dataset:
    """Encode the lines and words of all images of a report that are shown; the same arguments give the same bytes.

    Args:
        report: With a region or a lesion of a finding that is present.
        source: The analysed images.
        window: In the units of the reader (HU for CT); None takes each image's own, where it has one.
        made_at: Local time.
        mask_of: Gives the mask of a finding with lesions.

    Returns:
        A data set with file meta information, explicit VR little endian.

    Raises:
        Failed: The mask is missing; an image is in none of the analysed series.
        Rejected: The images cannot share a presentation state.
        ValueError: A region lies outside of its image; a certainty is no probability.
    """
    drawn = [_drawn(report, source, shown, mask_of) for shown in shown_images(report)]
    drawn = [each for each in drawn if each.marks or each.outlines]
    if not drawn:
        raise Failed("no presentation state: the mask of the analysis is missing, and nothing else is to be drawn")
    layers = _layers(drawn)
    document = begin(report, source, GrayscaleSoftcopyPresentationStateStorage, KIND, made_at)
    document.SOPInstanceUID = report_uid(report, KIND)
    document.Modality = "PR"
    document.SeriesNumber = SERIES_NUMBER
    document.InstanceNumber = 1
    document.DeviceSerialNumber = fitted(report.algorithm.weights_sha256)
    # Type 2C for a paired body part (PS3.3 C.7.3.1): whether it is one we are not told, so it is there and empty.
    document.Laterality = ""
    document.PresentationCreationDate = document.InstanceCreationDate
    document.PresentationCreationTime = document.InstanceCreationTime
    document.ContentLabel = "RESEARCH ONLY" if report.algorithm.research_only else FOUND
    document.ContentDescription = disclaimer(report.algorithm) or fitted(
        report.algorithm.title or report.algorithm.name
    )
    document.ContentCreatorName = ""  # type 2: it is nobody's name
    document.ReferencedSeriesSequence = _referenced(drawn)
    document.GraphicLayerSequence = list(layers.values())
    document.GraphicAnnotationSequence = [each for one in drawn for each in _annotations(report, one, layers)]
    apply_grey_scales(document, [((each.image, each.frame), each.scale) for each in drawn], window)
    add_meta(document)
    return document


def _referenced(drawn: Sequence[_Drawn]) -> list[Dataset]:
    """Every image, by its series (PS3.3 C.11.11)."""
    images = {each.image.SOPInstanceUID: each.image for each in drawn}
    found: dict[str, Dataset] = {}
    for image in images.values():
        series = found.setdefault(image.SeriesInstanceUID, Dataset())
        series.SeriesInstanceUID = image.SeriesInstanceUID
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        series.ReferencedImageSequence = [*series.get("ReferencedImageSequence", ()), item]
    return list(found.values())


def _drawn(report: Report, source: Source, shown: Shown, mask_of: MaskOf | None) -> _Drawn:
    stack, instance = source.find(shown.sop_instance_uid)
    about = content(report, shown)
    frame = about.frame if shown.position is None else frame_number(stack, shown.position)
    frame = frame if instance.frames > 1 else None
    outlines, legend = outlines_on(report, shown.index, mask_of) if shown.index is not None else ((), ())
    scale = read_grey_scale(stack, instance, frame)
    image = _image(stack.series.uid, instance, scale)
    return _Drawn(image, frame, scale, (*about.lines, *legend), about.marks, outlines)


def _image(series_uid: str, instance: Instance, scale: GreyScale) -> Dataset:
    """What an annotation asks of its image, so that no other element of it can break it."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = instance.sop_class_uid, instance.sop_instance_uid
    image.SeriesInstanceUID = series_uid
    image.Rows, image.Columns = scale.rows, scale.columns
    if instance.frames > 1:
        image.NumberOfFrames = instance.frames
    return image


def _layers(drawn: Sequence[_Drawn]) -> dict[str, GraphicLayer]:
    """Detections and outlines; where a network looked is in a layer of its own, which a viewer can hide."""
    layers = {
        FOUND: GraphicLayer(FOUND, 1, "What the algorithm found", display_color=CIELabColor.from_rgb(*YELLOW)),
    }
    if any(mark.kind is RegionKind.ATTENTION for each in drawn for mark in each.marks):
        words = "Where the network looked: no detection and no measurement"
        layers[LOOKED] = GraphicLayer(LOOKED, 2, fitted(words), display_color=CIELabColor.from_rgb(*CYAN))
    return layers


def _annotations(report: Report, drawn: _Drawn, layers: dict[str, GraphicLayer]) -> list[GraphicAnnotation]:
    said = "\r\n".join(plain(line) for line in (disclaimer(report.algorithm), *drawn.lines) if line)
    graphics: dict[str, list[GraphicObject]] = {FOUND: [], LOOKED: []}
    texts: dict[str, list[TextObject]] = {FOUND: [_at_top(said)], LOOKED: []}
    for mark in drawn.marks:
        layer = FOUND if mark.kind is RegionKind.DETECTION else LOOKED
        box = _box(mark)
        graphics[layer] += [_line(box)] if layer == FOUND else [_line(dash) for dash in _dashes(box)]
        texts[layer].append(_beside(mark.label, mark.box))
    for each in drawn.outlines:
        graphics[FOUND] += [_line(points) for points in outline(each.inside)]
        texts[FOUND].append(_beside(each.label, each.box))
    return [
        GraphicAnnotation(
            referenced_images=[drawn.image],
            graphic_layer=layers[name],
            referenced_frame_number=drawn.frame,
            graphic_objects=graphics[name] or None,
            text_objects=texts[name],
        )
        for name in layers
        if texts[name]
    ]


def _box(mark: Mark) -> Points:
    left, upper, right, lower = mark.box
    if not np.isfinite(mark.box).all() or right <= left or lower <= upper:
        raise ValueError("a region has no area")
    return np.array([(left, upper), (right, upper), (right, lower), (left, lower), (left, upper)], dtype=np.float64)


def _dashes(box: Points) -> list[Points]:
    """Each side as short lines, one at either end."""
    shares = np.linspace(0, 1, DASHES + 1)
    return [
        np.array([start + share * (end - start) for share in shares[n : n + 2]])
        for start, end in pairwise(box)
        for n in range(0, DASHES, 2)
    ]


def _line(points: Points) -> GraphicObject:
    return GraphicObject(GraphicTypeValues.POLYLINE, points, AnnotationUnitsValues.PIXEL)


def _beside(label: str, box: tuple[float, float, float, float]) -> TextObject:
    """A label at the lower left corner of what it is about."""
    return TextObject(
        plain(label), AnnotationUnitsValues.PIXEL, anchor_point=(box[0], box[3]), anchor_point_visible=False
    )


def _at_top(said: str) -> TextObject:
    text = said if len(said) <= LONGEST_TEXT else f"{said[: LONGEST_TEXT - 3]}..."
    return TextObject(
        text, AnnotationUnitsValues.DISPLAY, bounding_box=TOP, text_justification=TextJustificationValues.LEFT
    )
