"""Images by HTTP: POST /api/v1/uploads for one file or zip, /api/v1/upload-sessions for many that belong together."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from app.receive.upload import FileResult, Verdict
from app.settings import Settings
from app.web.api.parameters import ONLY_KNOWN
from app.web.api.problems import errors_of
from app.web.guard import CSRF_HEADER, Visitor
from app.web.login import CurrentVisitor
from app.web.uploads import MEGABYTE, Body, Session, Sessions, TooManyOpen
from app.web.witness import Witness

PIECE: Final = 1 << 20
"""So many bytes go to disk at once: each way into another thread costs time."""
AT_ONCE: Final = 8
"""Files of one upload that may come at the same time."""
RETRY_S: Final = 5

SessionId = Annotated[str, InPath(pattern=r"^[0-9a-f]{32}$", description="`id` of the upload")]
FileName = Annotated[
    str, Query(max_length=1000, description="what the answer calls the file; stored and logged nowhere")
]
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        kind: {"schema": {"type": "string", "format": "binary"}}
        for kind in ("application/dicom", "application/zip", "application/octet-stream")
    },
}


class UploadResult(BaseModel):
    """What became of each file of a request."""

    files: list[FileResult]
    stored: int = Field(description="new images")
    duplicate: int = Field(description="images that were here before, byte for byte")
    refused: int = Field(description="the sender still has them; `detail` of each says why")
    whole: bool = Field(description="false where something broke off: its studies then wait whether more comes")

    @classmethod
    def of(cls, files: list[FileResult], *, whole: bool) -> Self:
        """Count them."""
        counts = {verdict: sum(each.verdict is verdict for each in files) for verdict in Verdict}
        return cls(
            files=files,
            stored=counts[Verdict.STORED],
            duplicate=counts[Verdict.DUPLICATE],
            refused=counts[Verdict.REFUSED],
            whole=whole,
        )


class SessionState(BaseModel):
    """An upload so far, and what may still come."""

    id: str
    open: bool
    whole: bool = Field(description="whether it was ended as finished, and nothing in it broke off")
    busy: int = Field(description="files that are coming now")
    stored: int
    duplicate: int
    refused: int
    max_file_bytes: int
    max_zip_bytes: int
    idle_s: float = Field(description="nothing for so long: taken to be broken off")

    @classmethod
    def of(cls, session: Session, settings: Settings, *, whole: bool = False) -> Self:
        """Describe an upload."""
        options = settings.uploads
        return cls(
            id=session.id,
            open=not session.ended,
            whole=whole,
            busy=session.busy,
            stored=session.counts[Verdict.STORED],
            duplicate=session.counts[Verdict.DUPLICATE],
            refused=session.counts[Verdict.REFUSED],
            max_file_bytes=options.max_file_mb * MEGABYTE,
            max_zip_bytes=options.max_zip_mb * MEGABYTE,
            idle_s=options.idle_s,
        )


def add_uploads(app: FastAPI, settings: Settings, witness: Witness) -> Sessions:
    """Add the routes; gives the uploads that are open, for who ends them."""

    def closed(session: Session, whole: bool) -> None:
        witness.received(session.owner, session.upload.brought.values(), whole=whole)

    sessions = Sessions(settings, closed)
    router = APIRouter(prefix="/api/v1", tags=["uploads"], dependencies=ONLY_KNOWN)

    @router.post("/uploads", responses=errors_of(408, 411, 413, 429, 507), openapi_extra={"requestBody": _BODY})
    async def upload(request: Request, visitor: CurrentVisitor, name: FileName = "file") -> UploadResult:
        """Store one DICOM file, or every one of a zip, for operators; the body is the file itself.

        They go the way of images that come by C-STORE: the same checks, the same refusals. The answer says what became
        of each. A study is complete when its upload has ended and nothing else is sending it.
        """
        _check_length(request, settings)
        session = await asyncio.to_thread(_begin, sessions, visitor)
        finished = False
        try:
            files = await _receive(request, session, name, settings)
            finished = True
        finally:
            whole = await asyncio.to_thread(sessions.end, session, finished=finished)
        return UploadResult.of(files, whole=whole)

    _add_sessions(router, settings, witness, sessions)
    app.router.routes.extend(router.routes)
    return sessions


def _add_sessions(router: APIRouter, settings: Settings, witness: Witness, sessions: Sessions) -> None:
    def find(identifier: str, visitor: Visitor) -> Session:
        found = sessions.find(identifier, visitor)
        if found is None:
            raise HTTPException(404, "no upload of that id is open; it may have ended because nothing came for long")
        return found

    @router.post("/upload-sessions", status_code=201, responses=errors_of(429, 507))
    def begin(visitor: CurrentVisitor) -> SessionState:
        """Begin an upload of many files; its studies are not complete before it ends."""
        return SessionState.of(_begin(sessions, visitor), settings)

    @router.get("/upload-sessions/{id}", responses=errors_of(404))
    def show(id: SessionId, visitor: CurrentVisitor, response: Response) -> SessionState:  # noqa: A002
        """How far it is; for who has begun it."""
        found = find(id, visitor)
        _renew(response, visitor, witness)
        return SessionState.of(found, settings)

    @router.post(
        "/upload-sessions/{id}/files",
        responses=errors_of(404, 408, 411, 413, 429),
        openapi_extra={"requestBody": _BODY},
    )
    async def add_file(
        id: SessionId,  # noqa: A002
        request: Request,
        response: Response,
        visitor: CurrentVisitor,
        name: FileName = "file",
    ) -> UploadResult:
        """Store one DICOM file, or every one of a zip; the body is the file itself."""
        _check_length(request, settings)
        session = find(id, visitor)
        if session.busy >= AT_ONCE:
            raise _later(f"{AT_ONCE} files of this upload are coming already")
        files = await _receive(request, session, name, settings)
        _renew(response, visitor, witness)
        return UploadResult.of(files, whole=True)

    @router.post("/upload-sessions/{id}/end", responses=errors_of(404, 409))
    def end(id: SessionId, visitor: CurrentVisitor) -> SessionState:  # noqa: A002
        """End it: this was all. Its studies are complete, unless somebody else is sending them."""
        session = find(id, visitor)
        if session.busy:
            raise HTTPException(409, "files are still coming; end the upload when they are there")
        return SessionState.of(session, settings, whole=sessions.end(session, finished=True))

    @router.delete("/upload-sessions/{id}", responses=errors_of(404))
    def break_off(id: SessionId, visitor: CurrentVisitor) -> SessionState:  # noqa: A002
        """Break it off: what came stays, and its studies wait for the rest as after an aborted association."""
        session = find(id, visitor)
        sessions.end(session, finished=False)
        return SessionState.of(session, settings)


async def _receive(request: Request, session: Session, name: str, settings: Settings) -> list[FileResult]:
    """Take a body to disk as it comes, and say what became of the files in it."""
    with session.at_work():
        body = Body(session, name, settings.uploads)
        try:
            await _write(request, body.write, settings.uploads.idle_s)
        except BaseException as error:
            # Shielded: what was half received must go, whoever cancels this.
            await asyncio.shield(asyncio.to_thread(body.break_off))
            if isinstance(error, ClientDisconnect):
                raise HTTPException(400, "the body broke off; send this file again") from error
            if isinstance(error, TimeoutError):
                words = f"nothing more of the body came for {settings.uploads.idle_s:g} s; send this file again"
                raise HTTPException(408, words) from error
            raise
        return await asyncio.to_thread(body.finish)


async def _write(request: Request, write: Callable[[bytearray], None], idle_s: float) -> None:
    """A machine that is switched off ends no connection: without the time-out its upload would stay open for ever.

    Raises:
        TimeoutError: Nothing came for `idle_s`.
    """
    pending, stream = bytearray(), request.stream()
    while True:
        async with asyncio.timeout(idle_s):
            chunk = await anext(stream, None)
        if chunk is None:
            break
        pending += chunk
        if len(pending) >= PIECE:
            await asyncio.to_thread(write, pending)
            pending = bytearray()
    if pending:
        await asyncio.to_thread(write, pending)


def _begin(sessions: Sessions, visitor: Visitor) -> Session:
    try:
        return sessions.begin(visitor)
    except TooManyOpen as error:
        raise _later(f"{sessions.options.max_open} uploads are open; wait until one has ended") from error
    except OSError as error:
        raise HTTPException(
            HTTPStatus.INSUFFICIENT_STORAGE, f"the spool cannot be written ({error.strerror}); see /health"
        ) from error


def _later(words: str) -> HTTPException:
    return HTTPException(429, words, {"Retry-After": str(RETRY_S)})


def _check_length(request: Request, settings: Settings) -> None:
    """Refuse at once what is announced to be too long."""
    options = settings.uploads
    most = max(options.max_file_mb, options.max_zip_mb)
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > most * MEGABYTE:
        raise HTTPException(413, f"longer than {most} MB (uploads.max_zip_mb); split it")


def _renew(response: Response, visitor: Visitor, witness: Witness) -> None:
    """Give a page whose upload takes hours a new token against forged requests."""
    if visitor.subject:
        response.headers[CSRF_HEADER] = witness.guard.signatures.csrf(visitor.subject)
