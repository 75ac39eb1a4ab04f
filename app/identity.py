"""Who a study is about, as Unicode text: for documents that are no DICOM objects, and for pages.

DICOM objects take the elements over as they were sent (`app.report.source`); here they are decoded. What cannot be
decoded becomes U+FFFD, never an error: the result must join its patient by what could be read.
"""

import logging
import re
import unicodedata
import warnings
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

# pydicom quotes a value that it doubts, in warnings and in its log: patient data, where it must not be.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\.")

REPLACEMENT = "\ufffd"
# Each sets the character set back to the first one (PS3.5 section 6.1.2.5.3).
DELIMITERS = set(b"^=\\\r\n\t\f")
REPRESENTATIONS = ("alphabetic", "ideographic", "phonetic")
NAME_PARTS = 5
TIMES = {2: "%H", 4: "%H%M", 6: "%H%M%S"}


@dataclass(frozen=True, slots=True)
class PersonName:
    """One component group of a person's name (PS3.5 section 6.2, VR PN).

    Attributes:
        representation: "alphabetic", "ideographic" or "phonetic".
        family, given, middle, prefix, suffix: "" where there is none.
    """

    representation: str
    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def words(self) -> str:
        """For people: "Dr. Jane Doe"; other scripts put the family first: "山田 太郎"."""
        order = (self.prefix, self.given, self.middle, self.family, self.suffix)
        if self.representation != REPRESENTATIONS[0]:
            order = (self.prefix, self.family, self.given, self.middle, self.suffix)
        return " ".join(part for part in order if part)


@dataclass(frozen=True, slots=True)
class Identity:
    """Patient and study. "" or None for what the images do not say, or say in a form that cannot be read.

    Attributes:
        names: The patient's name, a group for each representation that is not empty.
        patient_id, issuer: The identifier and who gave it (`IssuerOfPatientID`).
        birth_date: Of the patient.
        sex: "M", "F", "O" or "".
        accession_number: Of the order.
        study_date, study_time: When the study began; local time of the modality, whose zone is not told.
        study_description: Of the modality or the order.
        referring: Name of the referring physician, as `names`.
    """

    names: tuple[PersonName, ...] = ()
    patient_id: str = ""
    issuer: str = ""
    birth_date: date | None = None
    sex: str = ""
    accession_number: str = ""
    study_date: date | None = None
    study_time: time | None = None
    study_description: str = ""
    referring: tuple[PersonName, ...] = ()

    @property
    def issued_by_oid(self) -> bool:
        """Whether the issuer is an object identifier, and not a name."""
        return re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))+", self.issuer) is not None


def decoded(elements: Dataset) -> Identity:
    """Decode the elements of `Source.identity`, which stay as they are."""
    return Identity(
        names=_names(_text(elements, "PatientName")),
        patient_id=exact(_text(elements, "PatientID")),
        issuer=exact(_text(elements, "IssuerOfPatientID")),
        birth_date=_date(_text(elements, "PatientBirthDate")),
        sex=one_line(_text(elements, "PatientSex")),
        accession_number=exact(_text(elements, "AccessionNumber")),
        study_date=_date(_text(elements, "StudyDate")),
        study_time=_time(_text(elements, "StudyTime")),
        study_description=one_line(_text(elements, "StudyDescription")),
        referring=_names(_text(elements, "ReferringPhysicianName")),
    )


def exact(text: str) -> str:
    """An identifier: its blanks inside stay, since they tell it from another; what is no character is replaced."""
    return "".join(" " if unicodedata.category(c) == "Zs" else _shown(c) for c in text.strip(" \0")).strip(" ")


def one_line(text: str) -> str:
    """Text for people in one line: every run of blanks, tabs and new lines is one blank."""
    return " ".join("".join(" " if _is_control(c) else _shown(c) for c in text).split())


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc"


def _shown(character: str) -> str:
    """No controls, line ends, surrogates or code points that are no characters: receivers and XML do not take them."""
    lost = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or ord(character) & 0xFFFE == 0xFFFE
    return REPLACEMENT if lost else character


def _names(text: str) -> tuple[PersonName, ...]:
    groups = zip(REPRESENTATIONS, text.split("="), strict=False)
    return tuple(_name(representation, group) for representation, group in groups if group.strip(" ^\0"))


def _name(representation: str, group: str) -> PersonName:
    parts = [one_line(part) for part in group.split("^", NAME_PARTS - 1)]
    parts[-1] = one_line(parts[-1].replace("^", " "))
    return PersonName(representation, *parts)


def _text(elements: Dataset, keyword: str) -> str:
    """The value of an element, decoded in one piece.

    pydicom parts a name at "=" and values at backslashes before it decodes; in ISO 2022 IR 87 and in GB 18030 both are
    second bytes of common characters, and such names come apart.
    """
    tag = tag_for_keyword(keyword)
    element = elements.get_item(tag) if tag is not None and tag in elements else None
    value: Any = None if element is None else element.value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return _decode(value, _character_sets(elements))
    return "\\".join(map(str, value)) if isinstance(value, MultiValue | list) else str(value)


def _character_sets(elements: Dataset) -> list[str]:
    """As declared; none where the images declare nothing, and nothing but ASCII is known then (PS3.3 C.12.1.1.2)."""
    element = elements.get_item("SpecificCharacterSet") if "SpecificCharacterSet" in elements else None
    if element is None or element.value is None:
        return []
    value = element.value
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    sets = text.split("\\") if isinstance(text, str) else list(text)
    return [each.strip(" \0") for each in sets] if any(each.strip(" \0") for each in sets) else []


def _decode(value: bytes, sets: list[str]) -> str:
    """ASCII alone where nothing else is declared or known: ISO 8859-1, which pydicom takes then, would be a guess."""
    try:
        encodings = ["ascii" if each == default_encoding else each for each in convert_encodings(sets or [""])]
        return decode_bytes(value, encodings, DELIMITERS)
    except (LookupError, ValueError):
        return value.decode("ascii", "replace")


def _date(text: str) -> date | None:
    text = text.strip(" \0")
    if not re.fullmatch(r"[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _time(text: str) -> time | None:
    whole = text.strip(" \0").partition(".")[0]
    if len(whole) not in TIMES or not whole.isascii():
        return None
    try:
        return datetime.strptime(whole, TIMES[len(whole)]).time()  # noqa: DTZ007  the zone is not told
    except ValueError:
        return None
