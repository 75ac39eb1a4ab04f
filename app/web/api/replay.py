"""Send the documents of a study again: POST /api/v1/studies/{key}/replay, for operators."""

import json
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.documents import Receipt
from app.errors import Rejected
from app.settings import Settings
from app.web.api.parameters import ONLY_KNOWN
from app.web.api.problems import errors_of
from app.web.api.studies import KeyOrUid, known_study
from app.web.begun import only_begun
from app.web.guard import FORM, form_of
from app.web.login import CurrentVisitor
from app.web.witness import Witness
from app.workflow_delivery import replay

JSON: Final = "application/json"

log = structlog.get_logger()


class ReplayRequest(BaseModel):
    """What to send again, and where; without a body every document goes to every destination that wants it."""

    model_config = ConfigDict(extra="forbid")

    destination: str | None = Field(None, max_length=128, description="name in the settings; null: all of them")
    even_superseded: bool = Field(False, description="also where a newer revision stands for this one")


class Replayed(BaseModel):
    """What became of each document at each destination."""

    receipts: list[Receipt]


async def asked(request: Request) -> ReplayRequest:
    """What was asked for, as JSON or as a form of a page (`destination`, `force=yes`)."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body and kind in {"", JSON, FORM}:
        return ReplayRequest()
    if kind == FORM:
        fields = form_of(kind, body)
        return ReplayRequest(
            destination=fields.get("destination", "")[:128] or None, even_superseded=fields.get("force") == "yes"
        )
    if kind != JSON:
        raise HTTPException(415, f"send {JSON}, or no body at all")
    try:
        return ReplayRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        raise HTTPException(422, f"body {where}: {first['msg']}".replace(" :", ":")) from error


_BODY: Final[dict[str, Any]] = {
    "required": False,
    "content": {
        JSON: {
            "schema": json.loads(json.dumps(ReplayRequest.model_json_schema())),
            "examples": {"one destination": {"value": {"destination": "pacs", "even_superseded": False}}},
        }
    },
}


def add_replay(app: FastAPI, settings: Settings, witness: Witness) -> None:
    """Add the route."""
    router = APIRouter(prefix="/api/v1", tags=["studies"], dependencies=ONLY_KNOWN)

    @router.post(
        "/studies/{key}/replay",
        responses=errors_of(404, 409, 413, 415),
        response_model=Replayed,
        openapi_extra={"requestBody": _BODY},
    )
    def send_again(
        key: KeyOrUid, request: Request, visitor: CurrentVisitor, wanted: Annotated[ReplayRequest, Depends(asked)]
    ) -> Response:
        """Send every document of a study to its destinations once more, for operators.

        Each is tried once, and what a destination has already is a duplicate there.
        """
        known = only_begun(known_study(settings, key))
        log.info("replay_asked", study=known.key[:12], user=visitor.name)
        try:
            receipts = replay(settings, known.key, wanted.destination, even_superseded=wanted.even_superseded)
        except Rejected as error:
            raise HTTPException(409, str(error)) from error
        witness.sent(visitor, known, receipts)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/study/{known.key}", 303)
        return JSONResponse(Replayed(receipts=list(receipts)).model_dump(mode="json"))

    app.router.routes.extend(router.routes)
