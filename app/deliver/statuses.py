"""What a peer's answer means: one table of C-STORE statuses and one of association rejections."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What becomes of a document after an answer."""

    DELIVERED = "delivered"
    AGAIN = "again"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Meaning:
    """A status in words, and what to do about it."""

    verdict: Verdict
    words: str


# First and last status, inclusive (PS3.4 B.2.3, PS3.7 C).
STATUSES = (
    (0x0000, 0x0000, Meaning(Verdict.DELIVERED, "Success")),
    (0x0001, 0x0001, Meaning(Verdict.DELIVERED, "Success with a warning: optional attributes not supported")),
    (0x0107, 0x0107, Meaning(Verdict.DELIVERED, "Warning: attribute list error")),
    (0x0110, 0x0110, Meaning(Verdict.AGAIN, "Processing failure")),
    (0x0111, 0x0111, Meaning(Verdict.DELIVERED, "Duplicate SOP instance: the destination has it already")),
    (0x0116, 0x0116, Meaning(Verdict.DELIVERED, "Warning: attribute value out of range")),
    (0x0117, 0x0117, Meaning(Verdict.REFUSED, "Invalid SOP instance")),
    (0x0122, 0x0122, Meaning(Verdict.REFUSED, "SOP class not supported")),
    (0x0124, 0x0124, Meaning(Verdict.REFUSED, "Not authorised")),
    (0x0210, 0x0210, Meaning(Verdict.AGAIN, "Duplicate invocation")),
    (0x0211, 0x0211, Meaning(Verdict.REFUSED, "Unrecognised operation")),
    (0x0212, 0x0212, Meaning(Verdict.REFUSED, "Mistyped argument")),
    (0x0213, 0x0213, Meaning(Verdict.AGAIN, "Resource limitation")),
    (0xA700, 0xA7FF, Meaning(Verdict.AGAIN, "Out of resources")),
    (0xA900, 0xA9FF, Meaning(Verdict.REFUSED, "Data set does not match SOP class")),
    (0xB000, 0xB000, Meaning(Verdict.DELIVERED, "Warning: coercion of data elements")),
    (0xB006, 0xB006, Meaning(Verdict.DELIVERED, "Warning: elements discarded")),
    (0xB007, 0xB007, Meaning(Verdict.DELIVERED, "Warning: data set does not match SOP class")),
    (0xB000, 0xBFFF, Meaning(Verdict.DELIVERED, "Warning")),
    (0xC000, 0xCFFF, Meaning(Verdict.REFUSED, "Cannot understand")),
)
UNKNOWN = Meaning(Verdict.REFUSED, "Unknown failure")


def meaning(status: int) -> Meaning:
    """Look a C-STORE status up; one that DICOM does not know is a refusal, never a delivery."""
    return next((found for first, last, found in STATUSES if first <= status <= last), UNKNOWN)


def in_words(status: int) -> str:
    """Give a status in words: "0xA700 Out of resources". The peer's own comment is left out: it may quote a header."""
    return f"0x{status:04X} {meaning(status).words}"
