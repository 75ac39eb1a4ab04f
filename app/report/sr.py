"""A report as Comprehensive 3D SR with the root template TID 1500 (PS3.16), as IHE AI Results asks for.

What each content item holds is written down in docs/conformance.md.
"""

from collections.abc import Collection
from datetime import datetime

from highdicom.sr import (
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from app.codes import Code
from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Finding, Report
from app.report.evidence import evidence
from app.report.frames import source_image
from app.report.items import MANUFACTURER, algorithm, certainty, comment, concept, sites
from app.report.lesions import lesion_groups
from app.report.library import image_library
from app.report.regions import region_groups
from app.report.source import Source, first_image
from app.report.structures import class_groups, structure_groups
from app.report.uids import device_uid, predecessor_uid, report_uid
from app.report.words import (
    about_lesions,
    about_regions,
    about_slices,
    fitted,
    named,
    plain,
    remarks,
    series_description,
    shown_lesions,
    shown_regions,
    suspicious_slices,
)
from app.structures import STRUCTURES
from bundles.common.headers import PROJECTION_MODALITIES

SERIES_NUMBER = 9001

PRESENCE = Code("121052", "DCM", "Presence of property")
STATUS = Code("111065", "DCM", "Summary of Analyses")
DEVICE = Code("121007", "DCM", "Device")
EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
# CID 100; of radiographs it knows none that names a body part.
PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    **dict.fromkeys(PROJECTION_MODALITIES, Code("43468-8", "LN", "XR unspecified body region")),
}
ANY_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")


def structured_report(report: Report, source: Source, made_at: datetime, *, outlined: Collection[str] = ()) -> Dataset:
    """Encode a report; the same arguments give the same data set, byte for byte.

    Args:
        report: What one bundle said.
        source: The analysed images.
        made_at: Local time.
        outlined: Kinds of the findings of which a segmentation was made, for their lesions to name.

    Returns:
        A data set with file meta information, explicit VR little endian.

    Raises:
        ValueError, TypeError, AttributeError, KeyError: highdicom refuses a value, or a finding is not in the table.
    """
    groups = [
        group
        for finding in report.findings
        for group in _groups(report, finding, source, outlined=finding.kind in outlined)
    ] + [*structure_groups(report, source, outlined=STRUCTURES in outlined), *class_groups(report, source)]
    content = MeasurementReport(
        observation_context=_observer(report),
        procedure_reported=concept(PROCEDURES.get(source.modality, ANY_PROCEDURE)),
        imaging_measurements=[_nothing(report)],
    )
    document: Dataset = Comprehensive3DSR(
        evidence=[first_image(report, source)],
        content=content,
        series_instance_uid=report_uid(report, "sr", "series"),
        series_number=SERIES_NUMBER,
        series_description=series_description(report),
        sop_instance_uid=report_uid(report, "sr"),
        instance_number=1,
        is_complete=True,
        is_verified=False,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=fitted(report.algorithm.name),
        software_versions=fitted(report.algorithm.version),
        device_serial_number=fitted(report.algorithm.weights_sha256),
        content_date=made_at.date(),
        content_time=made_at.time().replace(tzinfo=None),
        previous_versions=_predecessors(report) or None,
    )
    # Added last: highdicom copies and searches all that it is given, which takes longer than all the rest.
    root = document.ContentSequence
    root[-1].ContentSequence = ContentSequence([item for group in groups for item in group])
    document.CurrentRequestedProcedureEvidenceSequence = evidence(report, source, outlined)
    root.insert(len(root) - 1, image_library(source))
    root.append(_evaluations(report))
    _stamp(document, made_at)
    for element in source.identity.keys():  # noqa: SIM118  iterating over the data set would decode its elements
        document[element] = source.identity.get_item(element)
    return document


def _nothing(report: Report) -> MeasurementsAndQualitativeEvaluations:
    """A group that holds the place of all others while highdicom makes the document."""
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=report_uid(report, "tracking"), identifier="none")
    )


def _observer(report: Report) -> ObservationContext:
    who = report.algorithm
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(report),
        name=plain(who.title or who.name),
        manufacturer_name=MANUFACTURER,
        model_name=plain(who.name),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(observer_type=concept(DEVICE), observer_identifying_attributes=device)
    )


def _groups(
    report: Report, finding: Finding, source: Source, *, outlined: bool
) -> list[
    MeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
]:
    """One finding that was sought, TID 1501, then where it was seen, TID 1410 of a box and TID 1411 of a segment."""
    return [
        _group(report, finding, source, outlined=outlined),
        *region_groups(report, finding, source),
        *lesion_groups(report, finding, source, outlined=outlined),
    ]


def _group(
    report: Report, finding: Finding, source: Source, *, outlined: bool
) -> MeasurementsAndQualitativeEvaluations:
    kind = FINDING_KINDS[finding.kind]
    label = named(kind.name)
    if report.algorithm.research_only:
        label += " (RESEARCH USE ONLY)"
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=report_uid(report, "tracking", kind.name), identifier=label),
        finding_type=concept(kind.code),
        finding_sites=sites(kind),
        algorithm_id=algorithm(report, finding),
        measurements=certainty(finding.certainty) or None,
        qualitative_evaluations=[
            QualitativeEvaluation(name=concept(PRESENCE), value=concept(PRESENCE_CODES[finding.presence]))
        ],
        source_images=_source_images(finding, source) or None,
    )
    for text in (
        about_slices(finding, by_image=source.by_image) if finding.slices else "",
        about_regions(finding),
        about_lesions(finding, outlined=outlined),
    ):
        if text:
            group[0].ContentSequence.append(comment(text))
    return group


def _source_images(finding: Finding, source: Source) -> list[SourceImageForMeasurementGroup]:
    scored = [score.sop_instance_uid for score in suspicious_slices(finding)]
    if not finding.slices:
        scored = [lesion.sop_instance_uid for lesion in shown_lesions(finding)]
    chosen: dict[str, list[int]] = {uid: [] for uid in scored}
    for uid, index in _positions(finding, source):
        chosen[uid].append(index)
    chosen |= {
        region.sop_instance_uid: [] for region in shown_regions(finding) if region.sop_instance_uid not in chosen
    }
    return [source_image(source, uid, indices) for uid, indices in chosen.items()]


def _positions(finding: Finding, source: Source) -> list[tuple[str, int]]:
    """UID and position in the stack of each slice of a volume that is referenced."""
    if source.by_image:
        return []
    if finding.slices:
        return [(score.sop_instance_uid, score.index) for score in suspicious_slices(finding)]
    return [(lesion.sop_instance_uid, lesion.index) for lesion in shown_lesions(finding)]


def _evaluations(report: Report) -> ContainerContentItem:
    """What holds for the report as a whole: how the analysis ended, and what to know before believing it."""
    container = ContainerContentItem(name=concept(EVALUATIONS), relationship_type=RelationshipTypeValues.CONTAINS)
    status = CodeContentItem(
        name=concept(STATUS),
        value=concept(OUTCOME_CODES[report.outcome]),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    container.ContentSequence = ContentSequence([status, *map(comment, remarks(report))])
    return container


def _predecessors(report: Report) -> list[Dataset]:
    """The SRs that this one replaces, for the Predecessor Documents Sequence (PS3.3 C.17.2)."""
    found = []
    for predecessor in report.replaces:
        item = Dataset()
        item.SOPClassUID = Comprehensive3DSRStorage
        item.SOPInstanceUID = predecessor_uid(report, predecessor, "sr")
        item.StudyInstanceUID = report.study_uid
        item.SeriesInstanceUID = predecessor_uid(report, predecessor, "sr", "series")
        found.append(item)
    return found


def _stamp(document: Dataset, made_at: datetime) -> None:
    """Replace the library's clock by ours."""
    document.InstanceCreationDate = document.ContentDate
    document.InstanceCreationTime = document.ContentTime
    for equipment in document.ContributingEquipmentSequence:
        equipment.ContributionDateTime = made_at.strftime("%Y%m%d%H%M%S.%f")
