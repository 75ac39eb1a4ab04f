"""Send the documents of a study again: POST /studies/{key}/replay, for operators."""

from typing import Annotated

import structlog
from fastapi import FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel

from app.documents import Receipt
from app.errors import Rejected
from app.outcomes import study
from app.settings import Settings
from app.web.login import CurrentVisitor, Posted
from app.web.witness import Witness
from app.workflow_delivery import replay

KEY_OR_UID = r"^([0-9a-f]{32}(-[0-9a-f]{16})?|[0-2](\.[0-9]+){1,31})$"
KeyOrUid = Annotated[str, Path(max_length=64, pattern=KEY_OR_UID, description="key of a study, or StudyInstanceUID")]

log = structlog.get_logger()


class Replayed(BaseModel):
    """What became of each document at each destination."""

    receipts: list[Receipt]


def add_replay(app: FastAPI, settings: Settings, witness: Witness) -> None:
    """Add the route."""

    @app.post(
        "/studies/{key}/replay",
        responses={404: {"description": "No such study"}, 409: {"description": "It cannot be sent; why stands there"}},
        response_model=Replayed,
    )
    def send_again(key: KeyOrUid, request: Request, visitor: CurrentVisitor, fields: Posted) -> Response:
        """Send every document of a study to its destinations once more; `destination` and `force=yes` as the command.

        Each is tried once, and what a destination has already is a duplicate there.
        """
        known = study(settings, key)
        if known is None:
            raise HTTPException(404, "no study of that key or StudyInstanceUID; /studies lists what is known")
        log.info("replay_asked", study=known.key[:12], user=visitor.name)
        try:
            receipts = replay(
                settings, known.key, fields.get("destination") or None, even_superseded=fields.get("force") == "yes"
            )
        except Rejected as error:
            raise HTTPException(409, str(error)) from error
        witness.sent(visitor, known, receipts)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"/#{known.key}", 303)
        return JSONResponse(Replayed(receipts=list(receipts)).model_dump(mode="json"))
