"""Which attributes QIDO-RS answers and matches at each level (PS3.18 tables 10.6.1-5, 10.6.3-3 to 10.6.3-5)."""

from enum import StrEnum
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword


class Level(StrEnum):
    """What a search is for."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"

    @property
    def above(self) -> tuple["Level", ...]:
        """This level and those that hold it."""
        order = list(Level)
        return tuple(order[: order.index(self) + 1])


REQUEST: Final = "RequestAttributesSequence"
ANSWERED: Final[dict[Level, tuple[str, ...]]] = {
    Level.STUDY: (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "TimezoneOffsetFromUTC",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyID",
        "StudyDescription",
    ),
    Level.SERIES: (
        "Modality",
        "TimezoneOffsetFromUTC",
        "SeriesDescription",
        "SeriesInstanceUID",
        "SeriesNumber",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        REQUEST,
    ),
    Level.INSTANCE: (
        "SOPClassUID",
        "SOPInstanceUID",
        "TimezoneOffsetFromUTC",
        "InstanceNumber",
        "Rows",
        "Columns",
        "BitsAllocated",
        "NumberOfFrames",
    ),
}
"""Taken from the headers; counts, modalities of a study and addresses are added."""
OPTIONAL: Final[dict[Level, tuple[str, ...]]] = {
    Level.STUDY: ("PatientAge", "InstitutionName"),
    Level.SERIES: ("BodyPartExamined", "ProtocolName", "SeriesDate", "SeriesTime", "Laterality", "Manufacturer"),
    Level.INSTANCE: (
        "ImageType",
        "ContentDate",
        "ContentTime",
        "AcquisitionDate",
        "AcquisitionTime",
        "ConceptNameCodeSequence",
    ),
}
"""Answered where `includefield` asks for them."""
MATCHED: Final[dict[Level, frozenset[str]]] = {
    Level.STUDY: frozenset(ANSWERED[Level.STUDY]) - {"TimezoneOffsetFromUTC"} | {"ModalitiesInStudy"},
    Level.SERIES: frozenset(ANSWERED[Level.SERIES]) - {"TimezoneOffsetFromUTC", REQUEST}
    | {"BodyPartExamined", f"{REQUEST}.ScheduledProcedureStepID", f"{REQUEST}.RequestedProcedureID"},
    Level.INSTANCE: frozenset({"SOPClassUID", "SOPInstanceUID", "InstanceNumber"}),
}
_NAMED: Final = (name for table in (ANSWERED, OPTIONAL) for names in table.values() for name in names)
READ: Final = tuple(dict.fromkeys(("SpecificCharacterSet", *_NAMED)))
"""What is read of every file."""


def keyword_of(name: str) -> str:
    """Keyword of an attribute that is named by its keyword or by eight hexadecimal digits, with dots between levels.

    Raises:
        ValueError: There is no such attribute.
    """
    return ".".join(_keyword(part) for part in name.split("."))


def vr_of(keyword: str) -> str:
    """Value representation of an attribute, of the last one of several levels."""
    tag = tag_for_keyword(keyword.rpartition(".")[2])
    return "UN" if tag is None else dictionary_VR(tag)


def _keyword(name: str) -> str:
    if len(name) == 8 and all(digit in "0123456789abcdefABCDEF" for digit in name):
        found = keyword_for_tag(int(name, 16))
    else:
        found = name if name.isascii() and tag_for_keyword(name) is not None else ""
    if not found:
        raise ValueError(f"'{name[:64]}' is no DICOM attribute: give its keyword, or eight hexadecimal digits")
    return found
