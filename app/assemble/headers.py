"""Headers for routing: plain values by keyword, without what identifies the patient.

What routing reads ends in logs, in the workflow database and on screens, so identity is left out here, once: the report
takes it from the files themselves.
"""

from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from app.study import Header
from bundles.common.elements import PARSE_ERRORS

TEXTS: Final = frozenset({"AE", "AS", "CS", "LO", "SH", "UC", "UI"})
"""Free text (ST, LT, UT), names (PN), dates and times are left out: people write patients into them."""

INTEGERS: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
DECIMALS: Final = frozenset({"DS", "FD", "FL"})

PERSONAL_GROUPS: Final = frozenset({0x0010, 0x0032, 0x0038, 0x0040})
"""Patient, request, visit and procedure step: identity, orders, addresses."""

KEPT: Final = frozenset(
    {
        "PatientAge",
        "PatientSex",
        "PatientSize",
        "PatientWeight",
        "PerformedProcedureStepDescription",
        "RequestedProcedureDescription",
    }
)
LEFT_OUT: Final = frozenset({"AccessionNumber", "AdmittingDiagnosesDescription", "StudyID"})
LONGEST: Final = 1024
MOST_VALUES: Final = 64


def plain_headers(dataset: Dataset) -> dict[str, Header]:
    """Turn the top level of a data set into plain values: DS and IS into numbers, several values into a tuple.

    Left out: private, binary and malformed elements; sequences, except code sequences, given as their first
    CodeMeaning; names, dates, free text, and the groups of patient, request, visit and procedure step but for `KEPT`.
    """
    result: dict[str, Header] = {}
    for tag in dataset.keys():  # noqa: SIM118  iterating the data set itself would decode every element
        if tag.is_private or tag.group == 0x7FE0:
            continue
        try:
            element = dataset[tag]
            value = _plain(element)
        except PARSE_ERRORS:
            continue
        if value is not None and not _personal(element):
            result[element.keyword] = value
    return result


def _personal(element: DataElement) -> bool:
    if element.keyword in KEPT:
        return False
    return element.tag.group in PERSONAL_GROUPS or element.keyword in LEFT_OUT


def _plain(element: DataElement) -> Header | None:
    value = element.value
    if element.VR == "SQ":
        meaning = value[0].get("CodeMeaning") if value else None
        return _scalar("LO", meaning) if meaning else None
    if not element.keyword or element.VR not in TEXTS | INTEGERS | DECIMALS:
        return None
    if not isinstance(value, MultiValue | list | tuple):
        return "" if value is None else _scalar(element.VR, value)
    if len(value) > MOST_VALUES:
        return None
    values = tuple(_scalar(element.VR, part) for part in value)
    return values[0] if len(values) == 1 else values


def _scalar(vr: str, value: object) -> str | int | float:
    text = str(value).strip(" \0")
    if vr in INTEGERS and text:
        return int(text)
    if vr in DECIMALS and text:
        return float(text)
    return text[:LONGEST]
