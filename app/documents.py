"""What leaves: encoded documents of a report, and the receipts of their delivery."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class DocumentKind(StrEnum):
    """What a document is, as named in the settings of a destination."""

    SR = "sr"
    KEY_IMAGE = "key_image"
    JSON = "json"
    SEG = "seg"
    PRESENTATION = "presentation"
    PDF = "pdf"
    FHIR = "fhir"
    HL7 = "hl7"


DICOM_KINDS = frozenset(
    {
        DocumentKind.SR,
        DocumentKind.KEY_IMAGE,
        DocumentKind.SEG,
        DocumentKind.PRESENTATION,
        DocumentKind.PDF,
    }
)
"""What is a DICOM object; the PDF is one too (Encapsulated PDF)."""
ALWAYS_MADE = frozenset({DocumentKind.SR, DocumentKind.KEY_IMAGE, DocumentKind.SEG, DocumentKind.JSON})
"""Whatever the destinations want: what people look at here. The others are made where a destination wants them."""


@dataclass(frozen=True, slots=True)
class Document:
    """One encoded document on disk, durable before anyone tries to deliver it.

    Attributes:
        kind: What it is.
        bundle: The bundle whose report it encodes.
        path: The file, below the folder of results.
        sop_instance_uid: For DICOM documents; derived from (study UID, revision, series, bundle, version, kind), so
            that making it again gives the same UID. "" for what is no DICOM object.
        problem: Empty, or in words why this document could not be made (then `path` does not exist).
        series_uid, stack: The analysed series of the report, the first one where there are several.
        urgent: Whether the report is flagged for early reading.
    """

    kind: DocumentKind
    bundle: str
    path: Path
    sop_instance_uid: str = ""
    problem: str = ""
    series_uid: str = ""
    stack: int = 0
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The end of one document's way to one destination.

    Attributes:
        destination: Name in the settings.
        document: File name of the document.
        delivered: Whether the destination said that it has it.
        attempts: How many times it was tried.
        detail: The status in words: "0x0000 Success", "association rejected: calling AE title not recognized".
        superseded_by: Key of the newer revision for whose sake the document was not sent; "" where it was tried.
        committed: Whether the destination took responsibility for it (storage commitment, PS3.4 Annex J); None where it
            was not asked, as most are not. What was asked is `delivered` only where this is true.
    """

    destination: str
    document: str
    delivered: bool
    attempts: int
    detail: str
    superseded_by: str = ""
    committed: bool | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document on its way whose delivery has not ended: tried in vain, held back, or stored but not yet committed.

    Attributes:
        destination: Name in the settings.
        document: File name of the document.
        attempts: How many times it was sent.
        detail: Why it waits, in words.
        until: Unix time of the next look at it.
        transactions: UIDs of the storage commitments asked for, the newest last.
        asked_at: Unix time of the newest question; 0 where no answer to it is expected any more.
    """

    destination: str
    document: str
    attempts: int
    detail: str
    until: float
    transactions: tuple[str, ...] = ()
    asked_at: float = 0.0
