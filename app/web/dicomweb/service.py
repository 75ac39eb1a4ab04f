"""What the routes of DICOMweb share: what an address names, what a client accepts, and who is told of a look."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import HTTPException, Request, Response
from fastapi import Path as InPath

from app.audit.messages import StudyObject
from app.web.dicomweb import accept
from app.web.dicomweb.accept import JSON, Accepted
from app.web.dicomweb.holdings import Held, Holdings
from app.web.dicomweb.listed import Listed
from app.web.dicomweb.search import ROOT, Scope
from app.web.guard import Visitor
from app.web.sights import Sights
from app.web.witness import Witness
from bundles.common.elements import text

UID: Final = r"^[0-9]+(\.[0-9]+)*$"
StudyUid = Annotated[str, InPath(max_length=64, pattern=UID, description="StudyInstanceUID")]
SeriesUid = Annotated[str, InPath(max_length=64, pattern=UID, description="SeriesInstanceUID")]
InstanceUid = Annotated[str, InPath(max_length=64, pattern=UID, description="SOPInstanceUID")]
STUDY, SERIES = "/studies/{study}", "/studies/{study}/series/{series}"
INSTANCE: Final = f"{SERIES}/instances/{{instance}}"
ARRAY: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Data sets in the DICOM JSON model", "content": {JSON[0]: {"schema": {"type": "array"}}}}
}
PARTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "One part for each object, as it is stored",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in (accept.RELATED, accept.DICOM)
        },
    }
}
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")


def of_nothing() -> Scope:
    """Of the address of everything."""
    return Scope()


def of_study(study: StudyUid) -> Scope:
    """Of the address of a study."""
    return Scope(study)


def of_series(study: StudyUid, series: SeriesUid) -> Scope:
    """Of the address of a series."""
    return Scope(study, series)


def of_instance(study: StudyUid, series: SeriesUid, instance: InstanceUid) -> Scope:
    """Of the address of an instance."""
    return Scope(study, series, instance)


@dataclass(frozen=True)
class Service:
    """What the routes share.

    Attributes:
        listed: What there is, by study.
        witness: Told who looked.
        sights: Tells a look at many parts of a study once.
    """

    listed: Listed
    witness: Witness
    sights: Sights

    @property
    def holdings(self) -> Holdings:
        """What there is."""
        return self.listed.holdings

    def base(self, request: Request) -> str:
        """Address that the client reached us by; "" where it is strange, so that addresses are relative."""
        host = request.headers.get("host", "")
        scheme = "https" if self.witness.guard.is_secure(request) else "http"
        return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""

    def found(self, visitor: Visitor, scope: Scope) -> tuple[Held, ...]:
        """What an address names, after the audit trail was told that somebody looks at it.

        Raises:
            HTTPException: 404, there is nothing; 503, the trail cannot be written and has to be.
        """
        if scope.instance:
            one = self.holdings.instance(scope.study, scope.series, scope.instance)
            held: tuple[Held, ...] = () if one is None else (one,)
        else:
            held = tuple(each for each in self.holdings.study(scope.study) if scope.series in {"", each.series_uid})
        if not held:
            raise HTTPException(404, f"nothing is known by these UIDs; {ROOT}/studies lists what there is")
        self.sights.saw_object(visitor, StudyObject(held[0].study_uid, text(held[0].header, "PatientID")))
        return held


def accepted(request: Request) -> Sequence[Accepted]:
    """What the client accepts, by its header or by the parameter `accept` (PS3.18 section 8.3.3.1).

    Raises:
        HTTPException: 400, that cannot be read.
    """
    try:
        return accept.parse(request.query_params.get("accept") or request.headers.get("accept"))
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


def want_json(request: Request) -> None:
    """Refuse who accepts no JSON.

    Raises:
        HTTPException: 406; 400 where what is accepted cannot be read.
    """
    for each in accepted(request):
        if each.media_type != accept.RELATED and any(map(each.takes, JSON)):
            return
    raise HTTPException(406, f"this is given as {JSON[0]} alone")


def dicom_json(content: object) -> Response:
    """Answer in the DICOM JSON model."""
    return Response(json.dumps(content, allow_nan=False), media_type=JSON[0])
