"""What is answered where something cannot be done: a page for people, a problem (RFC 9457) for scripts and machines."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import HTTPException, Request, Response

from app.errors import AppError, Rejected, Retryable
from app.web.api.problems import problem, wants_page
from app.web.reader import Reader
from app.web.templating import page
from app.web.ways import login_address, page_of_form

TITLES: Final[Mapping[int, str]] = {
    401: "Not logged in",
    403: "Not allowed",
    404: "Not found",
    405: "No page",
    409: "Not done",
    410: "Removed",
    413: "Too long",
    422: "Cannot be used",
    429: "Too many at once",
    500: "Something broke",
    503: "Not now",
}
ADVICE: Final[Mapping[int, str]] = {
    401: "Nothing was done. Log in, and try again.",
    403: "Nothing was done. If this is your work, ask who runs this service for a role that may.",
    404: "Look whether the address is written as it was given to you, or find the study in the worklist.",
    405: "What is done by a button has no page of its own. Go on from one of the pages above.",
    409: "Go back and load the page again to see how things stand now.",
    410: "If it is needed, send the study again: it is made anew.",
    413: "Nothing was done. Send less at once.",
    422: "Nothing was done. Go back, and change what is named here.",
    429: "Wait for as long as is said here, then load this page again.",
    500: "Try once more. If it breaks again, tell who runs this service when it did: the log says where.",
    503: "Try again in a moment. If that does not help, the page of the system says what is not well.",
}
"""What to do next, by status: the detail says it where it knows better, and this where it does not."""


def answer(
    request: Request, reader: Reader, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A page where a person looks at it, else a problem."""
    if not wants_page(request):
        return problem(status, detail, headers)
    made = problem_page(request, reader, status, detail)
    made.headers.update(headers or {})
    return made


def problem_page(request: Request, reader: Reader, status: int, detail: str, title: str = "") -> Response:
    """The page of a problem: what is wrong, what to do next, and where to go on."""
    path = request.scope["path"]
    back = page_of_form(path)
    return page(
        request,
        "problem.html",
        reader,
        status=status,
        title=title or TITLES.get(status, "Not done"),
        detail="" if detail == _phrase(status) else detail,
        advice=ADVICE.get(status, ""),
        back=back,
        login=login_address(back, "") if status == HTTPStatus.UNAUTHORIZED else "",
    )


def refusal(error: AppError) -> HTTPException:
    """Of an error of ours: 422 where it cannot be done, 503 where it can later, 404 where nothing has that name."""
    if isinstance(error, Rejected):
        return HTTPException(422, str(error))
    return HTTPException(503 if isinstance(error, Retryable) else 404, str(error))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
