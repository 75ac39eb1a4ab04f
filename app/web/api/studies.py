"""/api/v1/studies: the revisions of all studies, and of each one its reports, documents and deliveries."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, FastAPI, HTTPException, Query
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from app.arrivals import Arrivals
from app.documents import DICOM_KINDS, Document, DocumentKind, Receipt, Waiting
from app.findings import Report
from app.outcomes import Shipment, State, StudyOutcome
from app.revisions import relation, relations
from app.settings import Settings
from app.web.api.cursors import LONGEST, Cursor
from app.web.api.listing import page_of
from app.web.api.parameters import ONLY_KNOWN
from app.web.api.problems import errors_of
from app.web.login import CurrentVisitor
from app.web.models import StudyDetail, StudySummary
from app.web.witness import Witness
from app.worklist import Worklist
from app.worklist_keys import Wanted

KEY_OR_UID: Final = r"^([0-9a-f]{32}(-[0-9a-f]{16})?|[0-2](\.[0-9]+){1,31})$"
KeyOrUid = Annotated[
    str,
    InPath(
        max_length=64,
        pattern=KEY_OR_UID,
        description="key of a study revision; its first 32 digits or a StudyInstanceUID name the newest revision",
        examples=["0" * 32 + "-" + "0" * 16],
    ),
]
DocumentName = Annotated[
    str, InPath(max_length=200, pattern=r"^[A-Za-z0-9_.-]+$", description="`name` of one of its documents")
]
UNKNOWN: Final = "no study of that key or StudyInstanceUID; /api/v1/studies lists what is known"
MEDIA_TYPES: Final[Mapping[DocumentKind, str]] = MappingProxyType(
    {
        DocumentKind.JSON: "application/json",
        DocumentKind.FHIR: "application/fhir+json",
        DocumentKind.HL7: "x-application/hl7-v2+er7",
    }
)
BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The bytes of the document, as they are on disk and went to the destinations",
        "content": {
            each: {"schema": {"type": "string", "format": "binary"}}
            for each in ("application/dicom", *MEDIA_TYPES.values())
        },
    }
}


class StudyPage(BaseModel):
    """Some study revisions, the newest first, and where the list goes on."""

    items: list[StudySummary]
    next: str | None = Field(description="give it as `cursor` for the next page; null where nothing follows")


class ReportList(BaseModel):
    """What the bundles said of a study revision: one report for each assignment that was answered."""

    items: list[Report]


class DocumentEntry(BaseModel):
    """A document that was made, or why it was not.

    Attributes:
        kind: As in the settings of a destination: sr, key_image, seg, json, …
        bundle: Whose report it encodes.
        name: Its name in the address of its bytes.
        media_type: Of its bytes.
        bytes: How many; null where there are none.
        sop_instance_uid: Of a DICOM document; "" of others.
        problem: Why it could not be made; "" where it was.
        superseded: Whether a newer revision of the study stands for it.
        href: Where its bytes are; null where there are none.
    """

    kind: DocumentKind
    bundle: str
    name: str
    media_type: str
    bytes: int | None
    sop_instance_uid: str
    problem: str
    superseded: bool
    href: str | None

    @classmethod
    def of(cls, outcome: StudyOutcome, document: Document, *, superseded: bool) -> Self:
        """Describe a document."""
        name = document.path.name
        size = _size(document.path)
        return cls(
            kind=document.kind,
            bundle=document.bundle,
            name=name,
            media_type=media_type(document),
            bytes=size,
            sop_instance_uid=document.sop_instance_uid,
            problem=document.problem,
            superseded=superseded,
            href=None if size is None else f"/api/v1/studies/{outcome.key}/documents/{name}",
        )


class DocumentList(BaseModel):
    """The documents of a study revision."""

    items: list[DocumentEntry]


class Deliveries(BaseModel):
    """How the documents of a study revision went out.

    Attributes:
        receipts: What ended, one for each document and destination.
        waiting: What was begun and has not ended, and why.
        pending: Everything that has no receipt yet.
    """

    receipts: list[Receipt]
    waiting: list[Waiting]
    pending: list[Shipment]


def media_type(document: Document) -> str:
    """What a document's bytes are."""
    return "application/dicom" if document.kind in DICOM_KINDS else MEDIA_TYPES[document.kind]


def known_study(settings: Settings, key: str) -> StudyOutcome:
    """A study revision, or what has come of a study that no worker has begun.

    Raises:
        HTTPException: 404, there is none.
    """
    outcome = Arrivals(settings).find(key)
    if outcome is None:
        raise HTTPException(404, UNKNOWN)
    return outcome


def add_studies(app: FastAPI, settings: Settings, worklist: Worklist, witness: Witness) -> None:
    """Add the routes."""
    router = APIRouter(prefix="/api/v1", tags=["studies"], dependencies=ONLY_KNOWN)

    @router.get("/studies", responses=errors_of())
    def list_studies(  # noqa: PLR0917  FastAPI gives each parameter of the query by name
        cursor: Annotated[str, Query(max_length=LONGEST, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=1000, description="how many at most")] = 100,
        state: Annotated[list[State] | None, Query(max_length=10, description="only these states")] = None,
        urgent: Annotated[
            bool | None, Query(description="only those flagged for early reading, or only others")
        ] = None,
        bundle: Annotated[str, Query(max_length=128, description="only those that were routed to it")] = "",
        finding: Annotated[str, Query(max_length=128, description="only those where it was found present")] = "",
        received_from: Annotated[datetime | None, Query(description="last image not before")] = None,
        received_before: Annotated[datetime | None, Query(description="last image before")] = None,
    ) -> StudyPage:
        """Study revisions by the time of their last image, the newest first; no UID and no patient data.

        What has come of a study that no worker has begun is no revision yet: ask for it by its StudyInstanceUID.
        """
        wanted = Wanted(frozenset(state or ()), urgent, bundle, finding, _unix(received_from), _unix(received_before))
        shown, following = page_of(settings, worklist, _cursor(cursor), wanted, limit)
        related = relations(settings.results, shown)
        items = [StudySummary.of(each, related[each.key]) for each in shown]
        return StudyPage(items=items, next=None if following is None else str(following))

    @router.get("/studies/{key}", responses=errors_of(404))
    def show_study(key: KeyOrUid, visitor: CurrentVisitor) -> StudyDetail:
        """One study revision: findings, documents, deliveries, and the reasons of every rule."""
        outcome = known_study(settings, key)
        witness.saw(visitor, outcome)
        return StudyDetail.of(outcome, relation(settings.results, outcome))

    @router.get("/studies/{key}/reports", responses=errors_of(404))
    def show_reports(key: KeyOrUid, visitor: CurrentVisitor) -> ReportList:
        """What each bundle said: findings with certainty, threshold, places and measurements."""
        outcome = known_study(settings, key)
        witness.saw(visitor, outcome)
        return ReportList(items=list(outcome.reports))

    @router.get("/studies/{key}/deliveries", responses=errors_of(404))
    def show_deliveries(key: KeyOrUid) -> Deliveries:
        """How its documents went out: attempts, status, storage commitment, what waits and why."""
        outcome = known_study(settings, key)
        return Deliveries(receipts=list(outcome.receipts), waiting=list(outcome.waiting), pending=list(outcome.pending))

    _add_documents(router, settings, witness)
    app.router.routes.extend(router.routes)


def _add_documents(router: APIRouter, settings: Settings, witness: Witness) -> None:
    @router.get("/studies/{key}/documents", responses=errors_of(404))
    def list_documents(key: KeyOrUid) -> DocumentList:
        """Every document of a study revision, also one that could not be made."""
        outcome = known_study(settings, key)
        old = bool(relation(settings.results, outcome).superseded_by)
        return DocumentList(items=[DocumentEntry.of(outcome, each, superseded=old) for each in outcome.documents])

    @router.get(
        "/studies/{key}/documents/{name}", response_class=FileResponse, responses={**errors_of(404, 410), **BYTES}
    )
    def fetch_document(key: KeyOrUid, name: DocumentName, visitor: CurrentVisitor) -> FileResponse:
        """The bytes of one document."""
        outcome = known_study(settings, key)
        document = next((each for each in outcome.documents if each.path.name == name), None)
        if document is None or document.problem:
            why = document.problem if document else "the study has no document of that name"
            raise HTTPException(404, f"{why}; /api/v1/studies/{outcome.key}/documents lists them")
        if not document.path.is_file():
            raise HTTPException(410, "this document was removed (retention); send the study again to have it made anew")
        witness.saw(visitor, outcome)
        return FileResponse(document.path, media_type=media_type(document), filename=name)


def _cursor(given: str) -> Cursor | None:
    try:
        return Cursor.of(given) if given else None
    except ValueError as error:
        raise HTTPException(422, f"query cursor: {error}") from error


def _unix(at: datetime | None) -> float | None:
    """Unix time; a time without a zone is UTC."""
    if at is None:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError) as error:
        raise HTTPException(422, "received_from, received_before: no time that a study can have come at") from error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
