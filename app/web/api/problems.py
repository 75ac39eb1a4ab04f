"""Errors as RFC 9457 problems: what is wrong and what to do, in one form over the whole API."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.errors import AppError, location
from app.web.headers import HEADERS

MEDIA_TYPE: Final = "application/problem+json"
LONGEST_WORDS: Final = 300
MACHINES: Final = ("/api/", "/dicom-web/")
"""What begins so answers machines, whatever they accept."""

FRAGMENT_HEADER: Final = "X-Fragment"
"""Carries the id of the element that a script will take out of the answer; see `static/vigil.js`."""

log = structlog.get_logger()


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer: else it is a machine, or a script of ours, and reads problems."""
    browses = "text/html" in request.headers.get("accept", "").lower()
    return browses and FRAGMENT_HEADER not in request.headers and not request.scope["path"].startswith(MACHINES)


class WrongValue(BaseModel):
    """One value of a request that cannot be used."""

    where: str = Field(description="part of the request and name", examples=["query limit"])
    what: str = Field(description="why", examples=["Input should be less than or equal to 1000"])


class Problem(BaseModel):
    """What was wrong with a request, or with us (RFC 9457)."""

    type: str = Field("about:blank", description="about:blank: the status says which kind of problem it is")
    title: str = Field(description="the status in words", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="what is wrong and what to do next", examples=["no study of that key"])
    errors: list[WrongValue] = Field([], description="the values that cannot be used, where that is why")


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Sequence[WrongValue] = ()
) -> JSONResponse:
    """Answer with a problem.

    Args:
        status: Of HTTP.
        detail: What is wrong and what to do next.
        headers: Of the answer, beside its type.
        errors: The values that cannot be used.
    """
    made = Problem(title=_title(status), status=status, detail=detail, errors=list(errors))
    content = made.model_dump(exclude=set() if errors else {"errors"})
    return JSONResponse(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says of its errors in the OpenAPI document: those that any has, and `statuses`."""
    every = sorted({401, 403, 422, 429, 500, *statuses})
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _title(status), "content": content} for status in every}


def add_problems(app: FastAPI, page: Callable[[Request, int, str], Response]) -> None:
    """Have every error answered: as a problem, or as a page where a browser asked for one.

    Args:
        app: To it.
        page: Makes the page: of a request, the status, and the detail.
    """

    def answer(
        request: Request,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[WrongValue] = (),
    ) -> Response:
        if not wants_page(request):
            return problem(status, detail, headers, errors)
        made = page(request, status, detail)
        made.headers.update(headers or {})
        return made

    @app.exception_handler(HTTPException)
    def refuse(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, error.detail, error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        wrong = [
            WrongValue(where=" ".join(str(part) for part in each["loc"])[:LONGEST_WORDS], what=each["msg"])
            for each in error.errors()
        ]
        first = f"{wrong[0].where}: {wrong[0].what}" if wrong else "see /api/v1/openapi.json"
        return answer(request, 422, f"the request cannot be used: {first}", errors=wrong)

    @app.exception_handler(AppError)
    def explain(request: Request, error: AppError) -> Response:
        log.error("request_failed", reason=str(error))
        return answer(request, 500, str(error))

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        log.error("request_broke", error=type(error).__name__, at=location(error))
        # Starlette calls this outside of every middleware, and so outside of the gate that adds them.
        return answer(request, 500, "something unexpected broke; the log of the web side says where", HEADERS)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
