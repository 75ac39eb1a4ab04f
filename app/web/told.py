"""An answer that says what is wrong, to people and to scripts alike."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from app.web.reader import Reader
from app.web.templating import FRAGMENT_HEADER, page


def problem_page(request: Request, reader: Reader, status: int, title: str, detail: str) -> Response:
    """A page where somebody looks at it, else JSON (RFC 9457) that a script shows."""
    if FRAGMENT_HEADER in request.headers or "text/html" not in request.headers.get("accept", ""):
        content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JSONResponse(content, status, media_type="application/problem+json")
    return page(request, "problem.html", reader, status=status, title=title, detail=detail)
