"""The mask of a finding as DICOM Segmentation (PS3.3 A.51): BINARY, a segment for each lesion, or one for a region.

It lies on the very grid of the source series: same orientation, spacing and position of every slice, each frame naming
the source image it was drawn on. The grid is that which the service checked, so that no strange header of a source
image can break it; what patient and study are called is taken over as in every document.
"""

from collections.abc import Sequence
from datetime import datetime

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import TrackingIdentifier
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, SegmentationStorage
from pydicom.valuerep import format_number_as_ds

from app.codes import Code
from app.errors import Failed
from app.findings import FINDING_KINDS, Finding, Lesion, Report
from app.masks import LabelVolume
from app.report.frames import slice_sources
from app.report.items import FAMILY, MANUFACTURER, concept
from app.report.picture import YELLOW
from app.report.source import Source, SourceStack, first_image
from app.report.uids import derived_uid, lesion_tracking_uid, report_uid
from app.report.words import disclaimer, fitted, lesion_name, named, plain, series_description
from bundles.common.geometry import StackGeometry, gaps_mm

SERIES_NUMBER = 9003
SOP_CLASS_UID = SegmentationStorage
MOST_FRAMES = 4096
"""Beyond it, frames that show nothing are left out: 4096 of 512 x 512 pixels are 128 MiB."""


def segmentation_uid(report: Report, finding: Finding) -> str:
    """Name the segmentation of a finding."""
    return report_uid(report, "seg", finding.kind)


def segmentation_series_uid(report: Report) -> str:
    """Name the series that holds all segmentations of a report."""
    return report_uid(report, "seg", "series")


def lesion_tracking(report: Report, finding: Finding, lesion: Lesion) -> TrackingIdentifier:
    """The identity of a lesion, the same in the segmentation and in the structured report."""
    name = lesion_name(finding, lesion)
    mark = " (RESEARCH USE ONLY)" if report.algorithm.research_only else ""
    return TrackingIdentifier(
        uid=lesion_tracking_uid(report, finding, lesion), identifier=f"{named(finding.kind)}, {name}{mark}"
    )


def segmentation(
    report: Report, finding: Finding, volume: LabelVolume, source: Source, made_at: datetime, *, number: int = 1
) -> Dataset:
    """Encode the mask of one finding; the same arguments give the same data set, byte for byte.

    Args:
        report: What it belongs to.
        finding: With at least one lesion; the number of each is its segment.
        volume: Its mask.
        source: The analysed images.
        made_at: Local time.
        number: Of this segmentation among those of its report, from 1.

    Returns:
        A data set with file meta information, explicit VR little endian. Frames that show nothing are there too, since
        some viewers need every slice, up to `MOST_FRAMES`; beyond it they are left out.

    Raises:
        Failed: The series has no place in the patient, or another number of slices than the mask.
        ValueError, TypeError, AttributeError, KeyError: highdicom refuses a value, or a finding is not in the table.
    """
    if [lesion.number for lesion in finding.lesions] != list(range(1, len(finding.lesions) + 1)):
        raise Failed("no segmentation: the lesions are not numbered from 1")
    segments = [_segment(report, finding, lesion) for lesion in finding.lesions]
    uid, words = segmentation_uid(report, finding), named(finding.kind)
    return encode_segments(report, segments, volume, source, made_at, uid=uid, words=words, number=number)


def encode_segments(
    report: Report,
    segments: Sequence[SegmentDescription],
    volume: LabelVolume,
    source: Source,
    made_at: datetime,
    *,
    uid: str,
    words: str,
    number: int = 1,
) -> Dataset:
    """Encode a mask under segments that are described already.

    Args:
        report: What it belongs to.
        segments: Numbered from 1, as the voxels of `volume` are.
        volume: The mask.
        source: The analysed images.
        made_at: Local time.
        uid: Of the segmentation.
        words: What it shows.
        number: Of this segmentation among those of its report, from 1.

    Raises:
        Failed, ValueError, TypeError, AttributeError, KeyError: As `segmentation`.
    """
    stack = source.stacks[0]
    stand_in = _stand_in(report, source, _checked(stack, volume))
    document: Dataset = _Unsearched(
        source_images=[stand_in],
        pixel_array=volume.whole(),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=segmentation_series_uid(report),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=fitted(report.algorithm.name),
        software_versions=fitted(report.algorithm.version),
        device_serial_number=fitted(report.algorithm.weights_sha256),
        content_label="RESEARCH ONLY" if report.algorithm.research_only else "SEGMENTATION",
        content_description=disclaimer(report.algorithm) or fitted(words),
        series_description=series_description(report),
        omit_empty_frames=len(segments) * volume.shape[0] > MOST_FRAMES,
    )
    document.ContentCreatorName = ""  # type 2: it is nobody's name
    _name_dimensions(document, derived_uid(document.SOPInstanceUID, "dimensions"))
    _refer(document, stack)
    _stamp(document, made_at)
    for element in source.identity.keys():  # noqa: SIM118  iterating over the data set would decode its elements
        document[element] = source.identity.get_item(element)
    return document


class _Unsearched(Segmentation):  # type: ignore[misc]  # highdicom's base is untyped
    """A segmentation that is written and never searched: without the tables that highdicom makes for looking up frames.

    They take a sixth of the time, and nothing of them is in the file.
    """

    def _build_luts(self) -> None: ...


def _checked(stack: SourceStack, volume: LabelVolume) -> StackGeometry:
    geometry = stack.series.geometry
    if geometry is None or not stack.frame_of_reference_uid:
        raise Failed("no segmentation: the images have no position in a frame of reference")
    expected = (len(geometry.origins), geometry.rows, geometry.columns)
    if volume.shape != expected:
        raise Failed(f"no segmentation: its mask has {volume.shape} slices, rows and columns, the series {expected}")
    return geometry


def _segment(report: Report, finding: Finding, lesion: Lesion) -> SegmentDescription:
    kind = FINDING_KINDS[finding.kind]
    return describe_segment(
        report,
        lesion.number,
        f"{named(kind.name)}, {lesion_name(finding, lesion)}",
        coded=(kind.category, kind.code),
        tracking=lesion_tracking(report, finding, lesion),
        site=kind.site,
    )


def describe_segment(
    report: Report,
    number: int,
    label: str,
    *,
    coded: tuple[Code, Code],
    tracking: TrackingIdentifier,
    site: Code | None = None,
) -> SegmentDescription:
    """Describe a segment: what it shows, and which algorithm drew it.

    Args:
        report: What it belongs to.
        number: From 1.
        label: For people.
        coded: Category and type of what it shows.
        tracking: Its identity, the same in the structured report.
        site: Where it is, for what is post-coordinated.
    """
    who, (category, code) = report.algorithm, coded
    segment = SegmentDescription(
        segment_number=number,
        segment_label=fitted(label),
        segmented_property_category=concept(category),
        segmented_property_type=concept(code),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=fitted(who.name),
            family=concept(FAMILY),
            version=fitted(who.version),
            source=MANUFACTURER,
            parameters={
                "status": plain(who.status),
                "weights_sha256": plain(who.weights_sha256),
                "training_data": plain(who.training_data),
            },
        ),
        tracking_uid=tracking[1].UID,
        tracking_id=tracking[0].TextValue,
        anatomic_regions=[concept(site)] if site else None,
        display_color=CIELabColor.from_rgb(*YELLOW),
    )
    if report.algorithm.research_only:
        segment.SegmentDescription = disclaimer(report.algorithm)
    return segment


def _stand_in(report: Report, source: Source, geometry: StackGeometry) -> Dataset:
    """All slices as the frames of one image, with all that a segmentation takes over from one.

    highdicom looks at one image much faster than at one for each slice; `_refer` puts the true names in their place.
    """
    between_rows, between_columns = (format_number_as_ds(value) for value in geometry.pixel_spacing_mm)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [between_rows, between_columns]
    measures.SliceThickness = format_number_as_ds(float(min(gaps_mm(geometry), default=1.0)))
    orientation.ImageOrientationPatient = [
        format_number_as_ds(value) for value in (*geometry.row_direction, *geometry.column_direction)
    ]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image = first_image(report, source)
    image.SOPClassUID, image.Modality = EnhancedCTImageStorage, source.stacks[0].series.modality
    image.FrameOfReferenceUID = source.stacks[0].frame_of_reference_uid
    image.Rows, image.Columns, image.NumberOfFrames = geometry.rows, geometry.columns, len(geometry.origins)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_at(origin) for origin in geometry.origins]
    return image


def _at(origin: Sequence[float]) -> Dataset:
    place, frame = Dataset(), Dataset()
    place.ImagePositionPatient = [format_number_as_ds(value) for value in origin]
    frame.PlanePositionSequence = [place]
    return frame


def _refer(document: Dataset, stack: SourceStack) -> None:
    """Name the source image, and of a file with several the frame, wherever a frame of our stand-in is named."""
    true = slice_sources(stack)
    done = set()
    for frame in document.PerFrameFunctionalGroupsSequence:
        for derivation in frame.get("DerivationImageSequence", ()):
            for item in derivation.SourceImageSequence:
                if id(item) in done:
                    continue  # the segments of a slice share the item
                done.add(id(item))
                place = true[item.ReferencedFrameNumber - 1]
                item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID = place.sop_instance_uid, place.sop_class_uid
                if place.frame is None:
                    del item.ReferencedFrameNumber
                else:
                    item.ReferencedFrameNumber = place.frame
    references = []
    for sop_class, uid in dict.fromkeys((place.sop_class_uid, place.sop_instance_uid) for place in true):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        references.append(item)
    (series,) = document.ReferencedSeriesSequence
    series.ReferencedInstanceSequence = references
    if "SourceImageSequence" in document:
        del document.SourceImageSequence


def _name_dimensions(document: Dataset, uid: str) -> None:
    """Replace the library's random name of the dimensions, so that making the document again gives the same bytes."""
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _stamp(document: Dataset, made_at: datetime) -> None:
    """Replace the library's clock by ours."""
    document.InstanceCreationDate = document.ContentDate = made_at.strftime("%Y%m%d")
    document.InstanceCreationTime = document.ContentTime = made_at.strftime("%H%M%S.%f")
    document.SeriesDate, document.SeriesTime = document.ContentDate, document.ContentTime
    for equipment in document.ContributingEquipmentSequence:
        equipment.ContributionDateTime = made_at.strftime("%Y%m%d%H%M%S.%f")
