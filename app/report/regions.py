"""Where a finding was seen: each region as TID 1410 Planar ROI (PS3.16), a closed rectangle on its source image.

A detection carries the code of its finding. An attention region carries none, nor a certainty: it says in a code
(CID 217, Visual Explanation) and in words that it is where the network looked, so that no reader takes it for a finding
or a measurement.
"""

import math

import numpy as np
from highdicom.sr import (
    GraphicTypeValues,
    ImageRegion,
    QualitativeEvaluation,
    SourceImageForRegion,
    TrackingIdentifier,
)
from highdicom.sr import PlanarROIMeasurementsAndQualitativeEvaluations as PlanarROI

from app.codes import Code
from app.findings import FINDING_KINDS, Finding, Region, RegionKind, Report
from app.report.items import algorithm, certainty, comment, concept, sites
from app.report.source import Source
from app.report.uids import report_uid
from app.report.words import ATTENTION, named, shown_regions

BOUNDED_BY = Code("75958009", "SCT", "Bounded by")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")
GRAD_CAM = Code("130403", "DCM", "Gradient-weighted class activation")


def region_groups(report: Report, finding: Finding, source: Source) -> list[PlanarROI]:
    """A group for each region of a finding that is present, in the finding's order.

    Raises:
        Failed: A region lies on an image that was not analysed.
        ValueError: A region has no area, or lies outside of its image.
    """
    groups = []
    regions = shown_regions(finding)
    for number, region in enumerate(regions, 1):
        make = _detection if region.kind is RegionKind.DETECTION else _attention
        name = f"region {number} of {len(regions)}"
        groups.append(make(report, finding, region, _image_region(region, source), name))
    return groups


def _detection(report: Report, finding: Finding, region: Region, on_image: ImageRegion, name: str) -> PlanarROI:
    kind = FINDING_KINDS[finding.kind]
    return PlanarROI(
        tracking_identifier=_tracking(report, finding, name, f"{named(kind.name)}, {name}"),
        referenced_region=on_image,
        finding_type=concept(kind.code),
        finding_sites=sites(kind),
        algorithm_id=algorithm(report),
        measurements=certainty(region.certainty) or None,
        geometric_purpose=concept(BOUNDED_BY),
    )


def _attention(report: Report, finding: Finding, _: Region, on_image: ImageRegion, name: str) -> PlanarROI:
    label = f"Where the network looked for: {named(finding.kind)}, {name}, no detection"
    group = PlanarROI(
        tracking_identifier=_tracking(report, finding, name, label),
        referenced_region=on_image,
        algorithm_id=algorithm(report),
        qualitative_evaluations=[QualitativeEvaluation(name=concept(VISUAL_EXPLANATION), value=concept(GRAD_CAM))],
    )
    group[0].ContentSequence.append(comment(ATTENTION))
    return group


def _tracking(report: Report, finding: Finding, name: str, label: str) -> TrackingIdentifier:
    mark = " (RESEARCH USE ONLY)" if report.algorithm.research_only else ""
    return TrackingIdentifier(uid=report_uid(report, "tracking", finding.kind, name), identifier=label + mark)


def _image_region(region: Region, source: Source) -> ImageRegion:
    """A box as a closed polyline in (column, row) pixels, 0, 0 being the upper left corner (PS3.3 C.18.6.1.2)."""
    _, instance = source.find(region.sop_instance_uid)
    left, upper, right, lower = region.box
    if not all(map(math.isfinite, region.box)) or min(left, upper) < 0 or right <= left or lower <= upper:
        raise ValueError("a region has no area, or lies outside of its image")
    corners = [(left, upper), (right, upper), (right, lower), (left, lower), (left, upper)]
    return ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.array(corners, dtype=np.float64),
        source_image=SourceImageForRegion(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            # PS3.3 table 10-3: for multi-frame images alone.
            referenced_frame_numbers=[region.frame] if instance.frames > 1 else None,
        ),
    )
