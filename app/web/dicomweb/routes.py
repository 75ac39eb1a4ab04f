"""Routes of DICOMweb below /dicom-web: QIDO-RS here, WADO-RS in `retrieve`; for viewers such as OHIF. Read only."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from app.errors import Retryable
from app.settings import Settings
from app.web.api.problems import errors_of
from app.web.dicomweb.attributes import Level
from app.web.dicomweb.holdings import Holdings
from app.web.dicomweb.listed import Listed
from app.web.dicomweb.query import parse
from app.web.dicomweb.retrieve import add_retrievals
from app.web.dicomweb.search import MORE, ROOT, Scope, search
from app.web.dicomweb.service import (
    ARRAY,
    SERIES,
    STUDY,
    Service,
    dicom_json,
    of_nothing,
    of_series,
    of_study,
    want_json,
)
from app.web.login import CurrentVisitor
from app.web.sights import Sights
from app.web.witness import Witness
from app.worklist import Worklist


def add_dicomweb(app: FastAPI, settings: Settings, worklist: Worklist, witness: Witness) -> None:
    """Add the routes."""
    service = Service(Listed(Holdings(settings, worklist)), witness, Sights(witness))
    router = APIRouter(prefix=ROOT, tags=["DICOMweb"])
    _add_search(router, service, "/studies", Level.STUDY, of_nothing)
    _add_search(router, service, "/series", Level.SERIES, of_nothing)
    _add_search(router, service, "/instances", Level.INSTANCE, of_nothing)
    _add_search(router, service, f"{STUDY}/series", Level.SERIES, of_study)
    _add_search(router, service, f"{STUDY}/instances", Level.INSTANCE, of_study)
    _add_search(router, service, f"{SERIES}/instances", Level.INSTANCE, of_series)
    add_retrievals(router, service)
    app.router.routes.extend(router.routes)


def _add_search(router: APIRouter, service: Service, path: str, level: Level, named: Callable[..., Scope]) -> None:
    @router.get(
        path, responses={**errors_of(400, 404, 406, 503), **ARRAY}, name=f"search {path}", response_class=Response
    )
    def find(request: Request, visitor: CurrentVisitor, scope: Annotated[Scope, Depends(named)]) -> Response:
        """Search (QIDO-RS): attributes by keyword or tag, `includefield`, `limit`, `offset`."""
        want_json(request)
        try:
            query = parse(request.query_params.multi_items(), level)
        except ValueError as error:
            raise HTTPException(400, f"query: {error}") from error
        if scope.study:
            service.found(visitor, scope)
        try:
            page, more = search(service.listed, level, scope, query, service.base(request))
        except Retryable as error:
            raise HTTPException(503, str(error)) from error
        answer = dicom_json(page)
        for words in (*query.warnings, *((MORE,) if more else ())):
            answer.headers.append("Warning", f'299 vigil "{words}"')
        return answer
