"""What a mask shows: each lesion as TID 1411 Volumetric ROI (PS3.16), naming its segment, with what was measured.

Where no segmentation could be made there is nothing to name, and TID 1411 wants something: the same measurements then
stand in a TID 1501 group that names the source image which shows most of the lesion.
"""

from typing import Any

from highdicom.sr import (
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceSeriesForSegmentation,
)
from highdicom.sr import VolumetricROIMeasurementsAndQualitativeEvaluations as VolumetricROI

from app.codes import Code
from app.findings import FINDING_KINDS, Finding, Lesion, Report
from app.report.frames import source_image
from app.report.items import algorithm, certainty, concept, sites
from app.report.segmentation import SOP_CLASS_UID, lesion_tracking, segmentation_uid
from app.report.source import Source
from app.report.words import shown_lesions

VOLUME = Code("118565006", "SCT", "Volume")
CUBIC_MILLIMETER = Code("mm3", "UCUM", "cubic millimeter")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
MILLIMETER = Code("mm", "UCUM", "mm")
DECIMALS = 2


def lesion_groups(
    report: Report, finding: Finding, source: Source, *, outlined: bool
) -> list[VolumetricROI | MeasurementsAndQualitativeEvaluations]:
    """A group for each lesion of a finding that is present, in the finding's order.

    Args:
        report: What it belongs to.
        finding: Its lesions may be none.
        source: The analysed images.
        outlined: Whether the segmentation that names the segments was made.

    Raises:
        Failed: A lesion lies on an image that was not analysed.
        ValueError: A certainty is no probability.
    """
    groups: list[VolumetricROI | MeasurementsAndQualitativeEvaluations] = []
    for lesion in shown_lesions(finding):
        common = _common(report, finding, lesion)
        if outlined:
            segment = ReferencedSegment(
                sop_class_uid=SOP_CLASS_UID,
                sop_instance_uid=segmentation_uid(report, finding),
                segment_number=lesion.number,
                source_series=SourceSeriesForSegmentation(report.series_uid),
            )
            groups.append(VolumetricROI(referenced_segment=segment, **common))
        else:
            image = source_image(source, lesion.sop_instance_uid, [lesion.index])
            groups.append(MeasurementsAndQualitativeEvaluations(source_images=[image], **common))
    return groups


def _common(report: Report, finding: Finding, lesion: Lesion) -> dict[str, Any]:
    kind = FINDING_KINDS[finding.kind]
    return {
        "tracking_identifier": lesion_tracking(report, finding, lesion),
        "finding_category": concept(kind.category),
        "finding_type": concept(kind.code),
        "finding_sites": sites(kind),
        "algorithm_id": algorithm(report),
        "measurements": [*_measured(lesion), *certainty(lesion.certainty)],
    }


def _measured(lesion: Lesion) -> list[Measurement]:
    """In hundredths of a millimetre, and of a cubic one: finer than any voxel."""
    volume = Measurement(name=concept(VOLUME), value=round(lesion.volume_mm3, DECIMALS), unit=concept(CUBIC_MILLIMETER))
    if lesion.longest_diameter_mm is None:
        return [volume]
    longest = round(lesion.longest_diameter_mm, DECIMALS)
    return [volume, Measurement(name=concept(LONG_AXIS), value=longest, unit=concept(MILLIMETER))]
