"""The words a rule may use: DICOM keywords, minus those that tell who the patient is.

What a rule saw is stored with the study and shown to people ("Modality is CT"), so a rule cannot look at a tag whose
value identifies a patient: names, numbers, dates, UIDs.
"""

from difflib import get_close_matches
from functools import cache

from pydicom.datadict import dictionary_VR, keyword_dict, tag_for_keyword
from pydicom.tag import Tag

from bundles.common.strict import nearest

OPERATORS = ("all", "any", "contrast", "evidence", "not", "orientation", "slices", "view")
TESTS = ("in", "max", "min", "present", "regex")

PATIENT_GROUP = 0x0010
VISIT_GROUP = 0x0038
DESCRIPTIVE = frozenset({"PatientAge", "PatientSex", "PatientSize", "PatientWeight"})
CLASS_UIDS = frozenset({"SOPClassUID", "TransferSyntaxUID"})
IDENTIFYING = frozenset(
    {
        "AccessionNumber",
        "AdmittingDiagnosesDescription",
        "ConfidentialityConstraintOnPatientDataDescription",
        "FillerOrderNumberImagingServiceRequest",
        "ImageComments",
        "PerformedProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureComments",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "StudyComments",
        "StudyID",
        "TextString",
        "TextValue",
    }
)
IDENTIFYING_VRS = frozenset({"DA", "DT", "PN", "TM", "UI"})
BINARY_VRS = frozenset({"OB", "OB or OW", "OD", "OF", "OL", "OV", "OW", "UN", "US or OW"})


@cache
def keywords() -> tuple[str, ...]:
    """Every keyword of the DICOM data dictionary (PS3.6), sorted."""
    return tuple(sorted(keyword for keyword in keyword_dict if keyword))


def problem_of(word: str) -> str | None:
    """Why `word` cannot stand where a rule names a tag, in words; None where it can.

    An unknown word comes with the nearest known one, an identifying keyword with the reason.
    """
    tag = tag_for_keyword(word)
    if tag is None:
        return f"unknown keyword or operator '{word}'{_suggestion(word)}"
    if is_identifying(word):
        return (
            f"'{word}' can identify a patient, and what a rule saw is stored with the study; "
            "route by modality, description, body part, protocol or geometry instead"
        )
    if dictionary_VR(tag) in BINARY_VRS:
        return f"'{word}' holds bytes, neither text nor numbers; a rule cannot look at it"
    return None


def is_identifying(keyword: str) -> bool:
    """Whether the value of a keyword of the dictionary can tell who the patient is."""
    number = tag_for_keyword(keyword)
    if number is None:
        return True
    tag = Tag(number)
    if keyword in DESCRIPTIVE or keyword in CLASS_UIDS:
        return False
    return (
        tag.group in {PATIENT_GROUP, VISIT_GROUP} or keyword in IDENTIFYING or dictionary_VR(number) in IDENTIFYING_VRS
    )


def is_shown(keyword: str) -> bool:
    """Whether evidence may show the value: never that of a tag of the patient module (age, sex, weight)."""
    return keyword not in DESCRIPTIVE


def _suggestion(word: str) -> str:
    known = [*OPERATORS, *(name for name in keywords() if not is_identifying(name))]
    by_lower_case = {name.lower(): name for name in known}
    if word.lower() in by_lower_case:
        return f", did you mean '{by_lower_case[word.lower()]}'?"
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return nearest(word, close) if close else "; DICOM keywords are listed in PS3.6, operators in docs/routing.md"
