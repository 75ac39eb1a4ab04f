"""Where results go: one class for each way out, told apart by `kind`; a destination that names none speaks DICOM."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, HttpUrl, Tag, model_validator

from app.documents import DICOM_KINDS, Document, DocumentKind
from app.tls.settings import Tls
from bundles.common.strict import Strict

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")]
Host = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
DICOM = "dicom"


class Commitment(Strict):
    """Storage commitment (PS3.4 Annex J): a document counts as delivered once the peer has taken responsibility for it.

    Attributes:
        wait_s: How long the answer may come on the association of the request; then on one that the peer opens to our
            listener.
        within_s: Without an answer for so long the document is sent, and its commitment asked for, again.
    """

    wait_s: float = Field(2, ge=0)
    within_s: float = Field(600, gt=0)


class _Way(Strict):
    """What all ways out have in common. `documents` are the kinds that this destination gets.

    Attributes:
        breaker_after: So many failures in a row, whatever document they met, and the destination is left alone for a
            while: documents wait without using up their `attempts`, and one at a time tries whether it is back.
    """

    possible: ClassVar[frozenset[DocumentKind]]

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    documents: tuple[DocumentKind, ...]
    attempts: int = Field(5, ge=1)
    backoff_s: float = Field(2, gt=0)
    timeout_s: float = Field(30, gt=0)
    breaker_after: int = Field(5, ge=1)

    def wants(self, document: Document) -> bool:
        """Whether a document, as it is known to have been made, is to be sent there."""
        return document.kind in self.documents and not document.problem

    @model_validator(mode="after")
    def _kinds_fit(self) -> Self:
        if not self.documents:
            raise ValueError(f"destination '{self.name}' gets no documents; name some, or leave it out")
        unfit = [kind.value for kind in self.documents if kind not in self.possible]
        if unfit:
            known = ", ".join(kind.value for kind in DocumentKind if kind in self.possible)
            raise ValueError(
                f"destination '{self.name}' cannot take {', '.join(unfit)}; of this kind it takes: {known}"
            )
        return self


class DicomDestination(_Way):
    """A DICOM peer: C-STORE, and storage commitment where asked for."""

    possible: ClassVar = DICOM_KINDS

    kind: Literal["dicom"] = "dicom"
    host: Host
    port: Port
    ae_title: AeTitle
    calling_ae_title: AeTitle = "VIGIL"
    documents: tuple[DocumentKind, ...] = (DocumentKind.SR, DocumentKind.KEY_IMAGE, DocumentKind.SEG)
    tls: Tls | None = None
    commitment: Commitment | None = None


class _Web(_Way):
    """A peer that speaks HTTP. The token is read from its file at every use, so that it can be changed."""

    query_allowed: ClassVar[bool] = False

    url: HttpUrl
    token_file: Path | None = None
    tls: Tls | None = None

    @model_validator(mode="after")
    def _url_fits(self) -> Self:
        if self.url.username or self.url.password:
            raise ValueError(f"destination '{self.name}': no name or password in the url; put them into token_file")
        if self.tls is not None and self.url.scheme != "https":
            raise ValueError(f"destination '{self.name}': tls needs a url that begins with https")
        if self.url.fragment or (self.url.query and not self.query_allowed):
            raise ValueError(f"destination '{self.name}': the url ends in ? or #; give the base of the service alone")
        return self


class DicomWebDestination(_Web):
    """STOW-RS (PS3.18 section 10.5); `url` is that of the service, to which `/studies` is added."""

    possible: ClassVar = DICOM_KINDS

    kind: Literal["dicomweb"]
    documents: tuple[DocumentKind, ...] = (DocumentKind.SR, DocumentKind.KEY_IMAGE, DocumentKind.SEG)


class FhirDestination(_Web):
    """A FHIR R4 server; `url` is its base, to which a bundle (transaction) is posted."""

    possible: ClassVar = frozenset({DocumentKind.FHIR})

    kind: Literal["fhir"]
    documents: tuple[DocumentKind, ...] = (DocumentKind.FHIR,)


class Hl7Destination(_Way):
    """An HL7 v2 interface: ORU^R01 over MLLP."""

    possible: ClassVar = frozenset({DocumentKind.HL7})

    kind: Literal["hl7"]
    host: Host
    port: Port
    documents: tuple[DocumentKind, ...] = (DocumentKind.HL7,)
    tls: Tls | None = None


class WebhookDestination(_Web):
    """Any web service: a document as the body of a POST, signed by HMAC-SHA256 with the secret in a file.

    Attributes:
        urgent_only: Only documents of reports that are flagged for early reading: a notice, not an archive.
    """

    possible: ClassVar = frozenset({DocumentKind.JSON, DocumentKind.FHIR})
    query_allowed: ClassVar = True

    kind: Literal["webhook"]
    secret_file: Path | None = None
    urgent_only: bool = False
    documents: tuple[DocumentKind, ...] = (DocumentKind.JSON,)

    def wants(self, document: Document) -> bool:
        """See the base; a notice is wanted of what is urgent alone."""
        return super().wants(document) and (document.urgent or not self.urgent_only)


def _kind(raw: Any) -> str:
    return str(raw.get("kind", DICOM) if isinstance(raw, dict) else getattr(raw, "kind", DICOM))


Destination = Annotated[
    Annotated[DicomDestination, Tag("dicom")]
    | Annotated[DicomWebDestination, Tag("dicomweb")]
    | Annotated[FhirDestination, Tag("fhir")]
    | Annotated[Hl7Destination, Tag("hl7")]
    | Annotated[WebhookDestination, Tag("webhook")],
    Discriminator(_kind),
]


def commitment_of(destination: Destination) -> Commitment | None:
    """Whether a destination is asked for storage commitment, and how."""
    return destination.commitment if isinstance(destination, DicomDestination) else None
