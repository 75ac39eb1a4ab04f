"""Who a report is about: patient and study, taken over from the analysed images as they were sent."""

import logging
import warnings
from dataclasses import dataclass

import structlog
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.valuerep import validate_value

from app.errors import Failed
from app.findings import Report
from app.study import Instance, Series, Study, uid_hash

log = structlog.get_logger()

# Both libraries quote a value that they doubt, in warnings and in the log: patient data, where it must not be.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
logging.getLogger("highdicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\.")

# What a result is filed by, and text: taken over byte by byte even where it breaks a rule, or the result would not
# join its patient.
CARRIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
)
# What has a form to keep: left empty where it breaks it.
CHECKED = ("PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "StudyTime")
SEXES = ("", "M", "F", "O")
# Type 2 in the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): there even when empty.
REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
OTHERS = ("SOPInstanceUID", "FrameOfReferenceUID", "BurnedInAnnotation")
# What pydicom raises on bytes that are no DICOM, and on elements whose value is not what their VR says.
UNREADABLE = (InvalidDicomError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError, OSError)


@dataclass(frozen=True, slots=True)
class Source:
    """The series that a report is about.

    Attributes:
        series: The analysed stack.
        identity: Patient and study elements, with the character set they are written in.
        frame_of_reference_uid: "" where the images have none.
        burned_in: Whether the images say that they identify the patient in their pixels.
    """

    series: Series
    identity: Dataset
    frame_of_reference_uid: str
    burned_in: bool


def read_source(report: Report, study: Study) -> Source:
    """Find the analysed series and read who it is about from its first readable file.

    Raises:
        Failed: The report is about a series that the study does not have.
    """
    series = next((s for s in study.series if (s.uid, s.stack) == (report.series_uid, report.stack)), None)
    if series is None or report.study_uid != study.uid:
        raise Failed(
            f"study {uid_hash(study.uid)[:12]} has no stack {report.stack} of series "
            f"{uid_hash(report.series_uid)[:12]}: the report and the study do not belong together"
        )
    header = _header(series)
    return Source(
        series=series,
        identity=_identity(header),
        frame_of_reference_uid=_text(header, "FrameOfReferenceUID"),
        burned_in=_text(header, "BurnedInAnnotation") == "YES",
    )


def _header(series: Series) -> Dataset:
    for instance in series.instances:
        header = _read(instance)
        if header is not None:
            return header
    log.warning("headers_taken_from_memory", series=uid_hash(series.uid)[:12])
    return _remembered(series)


def _read(instance: Instance) -> Dataset | None:
    try:
        header = dcmread(instance.path, specific_tags=[*CARRIED, *CHECKED, *OTHERS], stop_before_pixels=True)
    except UNREADABLE as error:
        log.warning("header_unreadable", file=instance.path.name, error=type(error).__name__)
        return None
    return header if _text(header, "SOPInstanceUID") else None


def _remembered(series: Series) -> Dataset:
    """Rebuild a header from what the study remembers, for files that went away or broke since they were read."""
    header = Dataset()
    for keyword in (*CARRIED, *CHECKED, *OTHERS):
        value = series.headers.get(keyword)
        if value is not None:
            header.add(_element(keyword, list(value) if isinstance(value, tuple) else str(value)))
    return header


def _identity(header: Dataset) -> Dataset:
    identity = Dataset()
    for keyword in (*CARRIED, *CHECKED):
        tag = _tag(keyword)
        if tag in header and (keyword in CARRIED or _well_formed(header, keyword)):
            identity[tag] = _as_sent(header, keyword)
        elif keyword in REQUIRED:
            identity[tag] = _element(keyword, "")
    return identity


def _as_sent(header: Dataset, keyword: str) -> DataElement | RawDataElement:
    """Take an element without decoding it, so that no character set can come between sender and archive."""
    element = header.get_item(_tag(keyword))
    return element._replace(VR=dictionary_VR(element.tag)) if isinstance(element, RawDataElement) else element


def _well_formed(header: Dataset, keyword: str) -> bool:
    try:
        value = str(header[keyword].value or "").strip()
        validate_value(dictionary_VR(_tag(keyword)), value, config.RAISE)
    except UNREADABLE as error:
        log.warning("element_left_out", element=keyword, error=type(error).__name__)
        return False
    return keyword != "PatientSex" or value in SEXES


def _element(keyword: str, value: str | list[str | int | float]) -> DataElement:
    return DataElement(_tag(keyword), dictionary_VR(_tag(keyword)), value, validation_mode=config.IGNORE)


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise Failed(f"{keyword} is no keyword of the DICOM dictionary")
    return tag


def _text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(keyword)
    except UNREADABLE:
        return ""
    return "" if value is None else str(value).strip()
