"""WADO-RS: objects, metadata, frames and bulk data (PS3.18 section 10.4), as they are stored."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse

from app.web.api.problems import errors_of
from app.web.dicomweb import accept
from app.web.dicomweb.accept import DICOM, JSON, OCTETS, Accepted
from app.web.dicomweb.frames import NATIVE, NoFrames, NotThatWay, bulk, frames, kind_of
from app.web.dicomweb.holdings import Held
from app.web.dicomweb.model import to_json
from app.web.dicomweb.multipart import Part, pieces, related
from app.web.dicomweb.search import ROOT, Scope
from app.web.dicomweb.service import (
    ARRAY,
    INSTANCE,
    PARTS,
    SERIES,
    STUDY,
    Service,
    accepted,
    of_instance,
    of_series,
    of_study,
    want_json,
)
from app.web.login import CurrentVisitor
from bundles.common.headers import read_header

FrameList = Annotated[
    str, InPath(max_length=8000, pattern=r"^[0-9]{1,6}(,[0-9]{1,6})*$", description="numbers of frames, from 1")
]
BulkTag = Annotated[str, InPath(pattern=r"^[0-9A-Fa-f]{8}$", description="tag, eight hexadecimal digits")]
OneInstance = Annotated[Scope, Depends(of_instance)]
RENDERED = "images are not rendered here: fetch the frames, or look at the page of the study"
Named = Callable[..., Scope]


def add_retrievals(router: APIRouter, service: Service) -> None:
    """Add the routes."""
    for path, named in ((STUDY, of_study), (SERIES, of_series), (INSTANCE, of_instance)):
        _add_objects(router, service, path, named)
        _add_metadata(router, service, path, named)
        _add_rendered(router, service, f"{path}/rendered", named)
        _add_rendered(router, service, f"{path}/thumbnail", named)
    _add_frames(router, service)
    _add_bulk(router, service)


def _add_objects(router: APIRouter, service: Service, path: str, named: Named) -> None:
    @router.get(path, responses={**errors_of(400, 404, 406), **PARTS}, name=f"get {path}", response_class=Response)
    def retrieve(request: Request, visitor: CurrentVisitor, scope: Annotated[Scope, Depends(named)]) -> Response:
        """Fetch objects byte for byte as they are stored: images that came, documents that were made."""
        wanted = accepted(request)
        held = service.found(visitor, scope)
        fits = [each for each in wanted if each.takes(DICOM) and _all_in(held, each)]
        if not fits:
            syntaxes = ", ".join(sorted({each.transfer_syntax_uid for each in held}))
            words = f'accept multipart/related; type="{DICOM}"; transfer-syntax=*'
            raise HTTPException(406, f"objects are given as they are stored ({syntaxes}): {words}")
        if scope.instance and not fits[0].is_multipart:
            return StreamingResponse(pieces(held[0].path), media_type=_typed(held[0]))
        if not any(each.is_multipart for each in fits):
            raise HTTPException(406, f'several objects are multipart: accept multipart/related; type="{DICOM}"')
        return related((Part(_typed(each), each.path) for each in held), DICOM)


def _add_metadata(router: APIRouter, service: Service, path: str, named: Named) -> None:
    @router.get(
        f"{path}/metadata",
        responses={**errors_of(400, 404, 406), **ARRAY},
        name=f"metadata of {path}",
        response_class=Response,
    )
    def metadata(request: Request, visitor: CurrentVisitor, scope: Annotated[Scope, Depends(named)]) -> Response:
        """Everything but pixels and other long binary values, which are given by address (BulkDataURI)."""
        want_json(request)
        held = service.found(visitor, scope)
        return StreamingResponse(_array(held, service.base(request)), media_type=JSON[0])


def _add_rendered(router: APIRouter, service: Service, path: str, named: Named) -> None:
    @router.get(path, responses=errors_of(404, 406), name=path, response_class=Response, status_code=406)
    def rendered(visitor: CurrentVisitor, scope: Annotated[Scope, Depends(named)]) -> Response:
        """Images are not rendered here; the answer says where they are seen."""
        service.found(visitor, scope)
        raise HTTPException(406, RENDERED)


def _add_frames(router: APIRouter, service: Service) -> None:
    @router.get(
        f"{INSTANCE}/frames/{{numbers}}", responses={**errors_of(400, 404, 406), **PARTS}, response_class=Response
    )
    def retrieve_frames(request: Request, visitor: CurrentVisitor, scope: OneInstance, numbers: FrameList) -> Response:
        """Frames of an image as they are stored: uncompressed, or each a compressed image."""
        wanted = accepted(request)
        (held,) = service.found(visitor, scope)
        try:
            kind, syntax = _frame_kind(held, wanted)
            content = frames(held.path, [int(each) for each in numbers.split(",")])
        except NotThatWay as error:
            raise HTTPException(406, str(error)) from error
        except NoFrames as error:
            raise HTTPException(404, str(error)) from error
        return related((Part(f"{kind}; transfer-syntax={syntax}", each) for each in content), kind)


def _add_bulk(router: APIRouter, service: Service) -> None:
    @router.get(
        f"{INSTANCE}/bulkdata/{{tag}}", responses={**errors_of(400, 404, 406), **PARTS}, response_class=Response
    )
    def retrieve_bulk(request: Request, visitor: CurrentVisitor, scope: OneInstance, tag: BulkTag) -> Response:
        """One long binary value, by the address that the metadata give."""
        wanted = accepted(request)
        (held,) = service.found(visitor, scope)
        if not any(each.takes(OCTETS) for each in wanted):
            raise HTTPException(406, f'accept multipart/related; type="{OCTETS}"')
        try:
            content = bulk(held.path, int(tag, 16))
        except NoFrames as error:
            raise HTTPException(404, str(error)) from error
        return related([Part(OCTETS, content)], OCTETS)


def _frame_kind(held: Held, wanted: Sequence[Accepted]) -> tuple[str, str]:
    kind, syntax = kind_of(held.transfer_syntax_uid)
    if any(_takes_frame(each, kind, syntax) for each in wanted):
        return kind, syntax
    raise NotThatWay(f'accept multipart/related; type="{kind}"; transfer-syntax={syntax}, or transfer-syntax=*')


def _takes_frame(wanted: Accepted, kind: str, syntax: str) -> bool:
    """A client that asks for bytes in whatever transfer syntax decodes them itself (as OHIF does)."""
    if not wanted.is_multipart:
        return False
    if wanted.takes(kind):
        return wanted.takes_syntax(syntax)
    return wanted.takes(OCTETS) and wanted.transfer_syntax in {accept.ANY, syntax}


def _all_in(held: Sequence[Held], wanted: Accepted) -> bool:
    return all(wanted.takes_syntax(each.transfer_syntax_uid) for each in held)


def _typed(held: Held) -> str:
    return f"{DICOM}; transfer-syntax={held.transfer_syntax_uid}"


def _array(held: Sequence[Held], base: str) -> Iterator[bytes]:
    """A JSON array, data set by data set."""
    yield b"["
    first = True
    for each in held:
        # One that was removed meanwhile breaks the answer off: a list without it would pass for whole.
        header = read_header(each.path)
        address = f"{base}{ROOT}/studies/{each.study_uid}/series/{each.series_uid}/instances/{each.sop_uid}/bulkdata"
        told = to_json(header.dataset, address)
        if header.pixel_bytes is not None or header.problem is None:
            vr = "OW" if each.transfer_syntax_uid in NATIVE else "OB"
            told["7FE00010"] = {"vr": vr, "BulkDataURI": f"{address}/7FE00010"}
        yield (b"" if first else b",") + json.dumps(told, allow_nan=False).encode()
        first = False
    yield b"]"
