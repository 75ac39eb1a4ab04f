"""What a Model Zoo bundle measured, as DICOM: one segmentation of all structures, and groups of the structured report.

A structure is a volume and no finding; a class has the score that the network gave it. Neither is called present or
absent: the groups hold no presence, and say so in words.
"""

from datetime import datetime
from typing import Any

from highdicom.sr import (
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceImageForMeasurementGroup,
    SourceSeriesForSegmentation,
    TrackingIdentifier,
)
from highdicom.sr import VolumetricROIMeasurementsAndQualitativeEvaluations as VolumetricROI
from pydicom import Dataset

from app.findings import Report
from app.masks import LabelVolume
from app.report.items import algorithm, certainty, comment, concept
from app.report.lesions import CUBIC_MILLIMETER, DECIMALS, VOLUME
from app.report.segmentation import SOP_CLASS_UID, describe_segment, encode_segments
from app.report.source import Source
from app.report.uids import report_uid, structure_tracking_uid
from app.report.words import NOT_OUTLINED, plain
from app.structures import UNTESTED, ClassScore, Structure

SEGMENTATION = "Segmentation by a Model Zoo bundle"
NO_OPERATING_POINT = "No operating point was set: the class is neither called present nor absent."


def structure_segmentation_uid(report: Report) -> str:
    """Name the segmentation of all structures of a report."""
    return report_uid(report, "seg", "structures")


def structure_segmentation(report: Report, volume: LabelVolume, source: Source, made_at: datetime) -> Dataset:
    """Encode the mask of all structures, a segment for each that has a voxel; see `encode_segments`.

    Args:
        report: With at least one structure that has a segment.
        volume: Their mask, by `Structure.segment`.
        source: The analysed images.
        made_at: Local time.
    """
    shown = sorted((each for each in report.structures if each.segment), key=lambda each: each.segment)
    segments = [
        describe_segment(
            report, each.segment, each.name, coded=(each.category, each.code), tracking=_tracking(report, each)
        )
        for each in shown
    ]
    uid = structure_segmentation_uid(report)
    return encode_segments(report, segments, volume, source, made_at, uid=uid, words=SEGMENTATION)


def structure_groups(
    report: Report, source: Source, *, outlined: bool
) -> list[VolumetricROI | MeasurementsAndQualitativeEvaluations]:
    """A group for each structure, in the order of the bundle's metadata: TID 1411 with its segment, where it has one.

    Args:
        report: What it belongs to.
        source: The analysed images.
        outlined: Whether the segmentation that names the segments was made.

    Raises:
        Failed: A structure lies on an image that was not analysed.
    """
    return [_structure_group(report, each, source, outlined=outlined) for each in report.structures]


def class_groups(report: Report, source: Source) -> list[MeasurementsAndQualitativeEvaluations]:
    """A group for each class, in the order of the bundle's metadata: TID 1501 with the score, on the image it is of.

    Raises:
        Failed: An image was not analysed.
        ValueError: A score is no probability.
    """
    return [_class_group(report, each, source) for each in report.classes]


def _structure_group(
    report: Report, structure: Structure, source: Source, *, outlined: bool
) -> VolumetricROI | MeasurementsAndQualitativeEvaluations:
    about: dict[str, Any] = {
        "tracking_identifier": _tracking(report, structure),
        "finding_category": concept(structure.category),
        "finding_type": concept(structure.code),
        "algorithm_id": algorithm(report),
        "measurements": _volume(structure) or None,
    }
    group: VolumetricROI | MeasurementsAndQualitativeEvaluations
    if structure.segment and outlined:
        segment = ReferencedSegment(
            sop_class_uid=SOP_CLASS_UID,
            sop_instance_uid=structure_segmentation_uid(report),
            segment_number=structure.segment,
            source_series=SourceSeriesForSegmentation(report.series_uid),
        )
        group = VolumetricROI(referenced_segment=segment, **about)
    else:
        images = [_image(structure.sop_instance_uid, source)] if structure.sop_instance_uid else None
        group = MeasurementsAndQualitativeEvaluations(source_images=images, **about)
    told = f"Segmentation of {structure.words}. {UNTESTED}"
    lost = f" {NOT_OUTLINED}" if structure.segment and not outlined else ""
    group[0].ContentSequence.append(comment(told + lost))
    return group


def _class_group(report: Report, each: ClassScore, source: Source) -> MeasurementsAndQualitativeEvaluations:
    name = each.name if each.image is None else f"{each.name}, image {each.image}"
    uid = report_uid(report, "tracking", "class", each.name, each.sop_instance_uid)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=plain(f"Class {name}{_mark(report)}")),
        finding_type=concept(each.code),
        algorithm_id=algorithm(report),
        measurements=certainty(each.score) or None,
        source_images=[_image(each.sop_instance_uid, source)] if each.sop_instance_uid else None,
    )
    words = each.words[0].upper() + each.words[1:]
    group[0].ContentSequence.append(comment(f"{words}. {NO_OPERATING_POINT}"))
    return group


def _volume(structure: Structure) -> list[Measurement]:
    if structure.volume_mm3 is None:
        return []
    value = round(structure.volume_mm3, DECIMALS)
    return [Measurement(name=concept(VOLUME), value=value, unit=concept(CUBIC_MILLIMETER))]


def _image(uid: str, source: Source) -> SourceImageForMeasurementGroup:
    _, instance = source.find(uid)
    return SourceImageForMeasurementGroup(instance.sop_class_uid, instance.sop_instance_uid)


def _tracking(report: Report, structure: Structure) -> TrackingIdentifier:
    uid = structure_tracking_uid(report, structure)
    return TrackingIdentifier(uid=uid, identifier=plain(f"{structure.name}{_mark(report)}"))


def _mark(report: Report) -> str:
    return " (RESEARCH USE ONLY)" if report.algorithm.research_only else ""
