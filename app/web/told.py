"""What a page answers where something cannot be done: see `app.web.api.problems` for the form of it."""

from fastapi import HTTPException, Request, Response

from app.errors import AppError, Rejected, Retryable
from app.web.api.problems import problem
from app.web.reader import Reader
from app.web.templating import FRAGMENT_HEADER, page


def problem_page(request: Request, reader: Reader, status: int, title: str, detail: str) -> Response:
    """A page where somebody looks at it, else a problem (RFC 9457) that a script shows."""
    if FRAGMENT_HEADER in request.headers or "text/html" not in request.headers.get("accept", ""):
        return problem(status, detail)
    return page(request, "problem.html", reader, status=status, title=title, detail=detail)


def refusal(error: AppError) -> HTTPException:
    """Of an error of ours: 422 where it cannot be done, 503 where it can later, 404 where nothing has that name."""
    if isinstance(error, Rejected):
        return HTTPException(422, str(error))
    return HTTPException(503 if isinstance(error, Retryable) else 404, str(error))
