"""A report as Comprehensive 3D SR with the root template TID 1500 (PS3.16), as IHE AI Results asks for.

What each content item holds is written down in docs/conformance.md.
"""

from collections.abc import Iterable
from datetime import datetime

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset

from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Code, Finding, Outcome, Report
from app.report.library import image_library
from app.report.source import Source
from app.report.uids import device_uid, report_uid
from app.report.words import about_slices, disclaimer, fitted, percent, plain, provenance, suspicious_slices
from app.study import Series

MANUFACTURER = "Vigil"
SERIES_NUMBER = 9001

FAMILY = Code("123110", "DCM", "Artificial Intelligence")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")
PRESENCE = Code("121052", "DCM", "Presence of property")
STATUS = Code("111065", "DCM", "Summary of Analyses")
COMMENT = Code("121106", "DCM", "Comment")
DEVICE = Code("121007", "DCM", "Device")
EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
}
ANY_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")


def structured_report(report: Report, source: Source, made_at: datetime) -> Dataset:
    """Encode a report; the same arguments give the same data set, byte for byte.

    Returns:
        A data set with file meta information, explicit VR little endian.

    Raises:
        ValueError, TypeError, AttributeError, KeyError: highdicom refuses a value, or a finding is not in the table.
    """
    content = MeasurementReport(
        observation_context=_observer(report),
        procedure_reported=concept(PROCEDURES.get(source.series.modality, ANY_PROCEDURE)),
        imaging_measurements=[_group(report, finding, source.series) for finding in report.findings],
    )
    document: Dataset = Comprehensive3DSR(
        evidence=_evidence(report, source.series),
        content=content,
        series_instance_uid=report_uid(report, "sr", "series"),
        series_number=SERIES_NUMBER,
        series_description=disclaimer(report.algorithm) or fitted(report.algorithm.title or report.algorithm.name),
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
    )
    # Added last: highdicom copies and searches all that it is given, which for the images of a stack takes long.
    root = document.ContentSequence
    root.insert(len(root) - 1, image_library(source))
    root.append(_evaluations(report))
    _stamp(document, made_at)
    for element in source.identity.keys():  # noqa: SIM118  iterating over the data set would decode its elements
        document[element] = source.identity.get_item(element)
    return document


def concept(code: Code) -> CodedConcept:
    """Turn a code of ours into highdicom's."""
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def _observer(report: Report) -> ObservationContext:
    algorithm = report.algorithm
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(report),
        name=plain(algorithm.title or algorithm.name),
        manufacturer_name=MANUFACTURER,
        model_name=plain(algorithm.name),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(observer_type=concept(DEVICE), observer_identifying_attributes=device)
    )


def _group(report: Report, finding: Finding, series: Series) -> MeasurementsAndQualitativeEvaluations:
    """One finding that was sought: TID 1501."""
    kind = FINDING_KINDS[finding.kind]
    label = kind.name.replace("_", " ").capitalize()
    if report.algorithm.research_only:
        label += " (RESEARCH USE ONLY)"
    measurements = []
    if finding.certainty is not None:
        certainty = Measurement(name=concept(CERTAINTY), value=percent(finding.certainty), unit=concept(PERCENT))
        measurements.append(certainty)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=report_uid(report, "tracking", kind.name), identifier=label),
        finding_type=concept(kind.code),
        finding_sites=[FindingSite(anatomic_location=concept(kind.site))] if kind.site else None,
        algorithm_id=_algorithm(report, finding),
        measurements=measurements or None,
        qualitative_evaluations=[
            QualitativeEvaluation(name=concept(PRESENCE), value=concept(PRESENCE_CODES[finding.presence]))
        ],
        source_images=_source_images(finding, series) or None,
    )
    if finding.slices:
        group[0].ContentSequence.append(_comment(about_slices(finding)))
    return group


def _algorithm(report: Report, finding: Finding) -> AlgorithmIdentification:
    """TID 4019, with what turned a number into an answer as parameters (111002)."""
    algorithm = report.algorithm
    parameters = [f"status={algorithm.status}", f"weights_sha256={algorithm.weights_sha256}"]
    parameters.append(f"training_data={algorithm.training_data}")
    if finding.threshold is not None:
        parameters.append(f"threshold_percent={percent(finding.threshold):g}")
        parameters.append(f"calibrated={'yes' if finding.calibrated else 'no'}")
    return AlgorithmIdentification(
        name=plain(algorithm.name),
        version=plain(algorithm.version),
        parameters=[plain(parameter) for parameter in parameters],
        family=concept(FAMILY),
        manufacturer=MANUFACTURER,
    )


def _source_images(finding: Finding, series: Series) -> list[SourceImageForMeasurementGroup]:
    classes = {instance.sop_instance_uid: instance.sop_class_uid for instance in series.instances}
    chosen = dict.fromkeys(score.sop_instance_uid for score in suspicious_slices(finding))
    return [SourceImageForMeasurementGroup(classes[uid], uid) for uid in chosen]


def _evaluations(report: Report) -> ContainerContentItem:
    """What holds for the report as a whole: how the analysis ended, and what to know before believing it."""
    container = ContainerContentItem(name=concept(EVALUATIONS), relationship_type=RelationshipTypeValues.CONTAINS)
    status = CodeContentItem(
        name=concept(STATUS),
        value=concept(OUTCOME_CODES[report.outcome]),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    container.ContentSequence = ContentSequence([status, *map(_comment, _remarks(report))])
    return container


def _remarks(report: Report) -> Iterable[str]:
    if report.algorithm.research_only:
        yield disclaimer(report.algorithm)
    if report.outcome is not Outcome.SUCCEEDED:
        yield f"Analysis {report.outcome.value}: {report.reason or 'no reason was given'}"
    yield provenance(report.algorithm)
    for note in report.notes:
        yield f"Note: {note}"


def _comment(text: str) -> ContentItem:
    return TextContentItem(name=concept(COMMENT), value=plain(text), relationship_type=RelationshipTypeValues.CONTAINS)


def _evidence(report: Report, series: Series) -> list[Dataset]:
    """Every instance of the analysed stack; the first also stands for the patient, filled in afterwards."""
    evidence = []
    for instance in series.instances:
        item = Dataset()
        item.SOPClassUID = instance.sop_class_uid
        item.SOPInstanceUID = instance.sop_instance_uid
        item.StudyInstanceUID = report.study_uid
        item.SeriesInstanceUID = series.uid
        evidence.append(item)
    for keyword in ("PatientID", "PatientName", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(evidence[0], keyword, "")
    for keyword in ("PatientBirthDate", "StudyDate", "StudyTime"):
        setattr(evidence[0], keyword, None)
    return evidence


def _stamp(document: Dataset, made_at: datetime) -> None:
    """Replace the library's clock by ours."""
    document.InstanceCreationDate = document.ContentDate
    document.InstanceCreationTime = document.ContentTime
    for equipment in document.ContributingEquipmentSequence:
        equipment.ContributionDateTime = made_at.strftime("%Y%m%d%H%M%S.%f")
