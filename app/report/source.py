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
from app.radiographs import is_radiograph
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
# What the image library says of a radiograph (PS3.16 TID 1602, 1603); of other images it takes the checked geometry.
DESCRIBING = (
    "AnatomicRegionSequence",
    "BodyPartExamined",
    "ViewCodeSequence",
    "ViewPosition",
    "ImageLaterality",
    "Laterality",
    "PatientOrientation",
    "ImagerPixelSpacing",
    "PixelSpacing",
    "Rows",
    "Columns",
)
ALL = (*CARRIED, *CHECKED, *OTHERS, *DESCRIBING)
# What pydicom raises on bytes that are no DICOM, and on elements whose value is not what their VR says.
UNREADABLE = (InvalidDicomError, ValueError, TypeError, LookupError, AttributeError, NotImplementedError, OSError)


@dataclass(frozen=True, slots=True)
class SourceStack:
    """One of the stacks that a report is about.

    Attributes:
        series: The analysed stack.
        header: What its first readable image says of itself, `DESCRIBING` and `OTHERS`, as it was sent.
        frame_of_reference_uid: "" where the images have none.
        burned_in: Whether the images say that they identify the patient in their pixels.
    """

    series: Series
    header: Dataset
    frame_of_reference_uid: str = ""
    burned_in: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The images that a report is about.

    Attributes:
        stacks: Every analysed stack, in the order of the report.
        identity: Patient and study elements, with the character set they are written in.
    """

    stacks: tuple[SourceStack, ...]
    identity: Dataset

    @property
    def modality(self) -> str:
        """Of the first stack."""
        return self.stacks[0].series.modality

    @property
    def by_image(self) -> bool:
        """Whether each image was read by itself, as radiographs are; else the images are slices of a volume."""
        return len(self.stacks) > 1 or is_radiograph(self.stacks[0].series)

    def find(self, sop_instance_uid: str) -> tuple[SourceStack, Instance]:
        """The stack and the instance of a source image.

        Raises:
            Failed: No analysed stack holds it.
        """
        for stack in self.stacks:
            for instance in stack.series.instances:
                if instance.sop_instance_uid == sop_instance_uid:
                    return stack, instance
        raise Failed("the report speaks of an image that is in none of the analysed series")


def read_source(report: Report, study: Study) -> Source:
    """Find the analysed stacks and read who they are about, each from its first readable file.

    Patient and study are those of the first stack.

    Raises:
        Failed: The report is about a stack that the study does not have.
    """
    found = [_find(report, study, uid, stack) for uid, stack in report.stacks]
    headers = [_header(series) for series in found]
    stacks = tuple(
        SourceStack(
            series=series,
            header=header,
            frame_of_reference_uid=_text(header, "FrameOfReferenceUID"),
            burned_in=_text(header, "BurnedInAnnotation") == "YES",
        )
        for series, header in zip(found, headers, strict=True)
    )
    return Source(stacks, _identity(headers[0]))


def _find(report: Report, study: Study, uid: str, stack: int) -> Series:
    series = next((s for s in study.series if (s.uid, s.stack) == (uid, stack)), None)
    if series is None or report.study_uid != study.uid:
        raise Failed(
            f"study {uid_hash(study.uid)[:12]} has no stack {stack} of series "
            f"{uid_hash(uid)[:12]}: the report and the study do not belong together"
        )
    return series


def _header(series: Series) -> Dataset:
    for instance in series.instances:
        header = _read(instance)
        if header is not None:
            return header
    log.warning("headers_taken_from_memory", series=uid_hash(series.uid)[:12])
    return _remembered(series)


def _read(instance: Instance) -> Dataset | None:
    try:
        header = dcmread(instance.path, specific_tags=list(ALL), stop_before_pixels=True)
    except UNREADABLE as error:
        log.warning("header_unreadable", file=instance.path.name, error=type(error).__name__)
        return None
    return header if _text(header, "SOPInstanceUID") else None


def _remembered(series: Series) -> Dataset:
    """Rebuild a header from what the study remembers, for files that went away or broke since they were read."""
    header = Dataset()
    for keyword in ALL:
        value = series.headers.get(keyword)
        if value is not None and dictionary_VR(_tag(keyword)) != "SQ":
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


def first_image(report: Report, source: Source) -> Dataset:
    """One image for highdicom to take the study from. Who it is about is filled in afterwards, as it was sent."""
    stack = source.stacks[0]
    image = Dataset()
    image.SOPClassUID = stack.series.instances[0].sop_class_uid
    image.SOPInstanceUID = stack.series.instances[0].sop_instance_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = report.study_uid, stack.series.uid
    for keyword in ("PatientID", "PatientName", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(image, keyword, "")
    for keyword in ("PatientBirthDate", "StudyDate", "StudyTime"):
        setattr(image, keyword, None)
    return image
