"""Log in and out by browser: a token is given once, and a signed cookie stands for it afterwards."""

import secrets
from collections.abc import Callable
from typing import Annotated, Final

import structlog
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from app.web.gate import Refused
from app.web.guard import (
    COOKIE,
    CSRF_FIELD,
    LARGEST_FORM,
    LOGIN_COOKIE,
    LOGOUT,
    By,
    Guard,
    Visitor,
    form_of,
    is_own,
)
from app.web.reader import NOBODY
from app.web.templating import page
from app.web.ways import own_address

LOGIN_S: Final = 3600
NEXT: Final = "next"
"""Names in the address and the form of the log-in the page to which it leads."""

_log = structlog.get_logger()


async def posted(request: Request) -> dict[str, str]:
    """The fields of the form that was sent; {} where it is none, or too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return {}
    return form_of(request.headers.get("content-type", ""), bytes(body))


def current_visitor(request: Request) -> Visitor:
    """Who asks, as the gate has found."""
    visitor: Visitor = request.state.visitor
    return visitor


Posted = Annotated[dict[str, str], Depends(posted)]
CurrentVisitor = Annotated[Visitor, Depends(current_visitor)]


def add_login(app: FastAPI, guard: Guard, told: Callable[[Visitor, str], None], refused: Refused) -> None:
    """Add /login and /logout.

    Args:
        app: To it.
        guard: Knows visitors.
        told: Called with who has logged in ("login") or out ("logout").
        refused: Called with a request that failed to log in.
    """

    def form(request: Request, to: str, status: int = 200, problem: str = "") -> Response:
        nonce = secrets.token_hex(16)
        csrf = guard.signatures.csrf(f"login|{nonce}")
        answer = page(request, "login.html", NOBODY, status=status, csrf=csrf, problem=problem, next=to)
        _set(answer, LOGIN_COOKIE, nonce, LOGIN_S, secure=guard.is_secure(request))
        return answer

    @app.get("/login", include_in_schema=False)
    def show_login(request: Request) -> Response:
        return form(request, own_address(request.query_params.get(NEXT, "")))

    @app.post("/login", include_in_schema=False)
    def log_in(request: Request, fields: Posted) -> Response:
        address, to = guard.address(request), own_address(fields.get(NEXT, ""))
        nonce = request.cookies.get(LOGIN_COOKIE, "")
        if not nonce or not guard.signatures.csrf_fits(f"login|{nonce}", fields.get(CSRF_FIELD, "")):
            return form(request, to, 403, "This form was too old. Try once more.")
        # Before the failures are looked at, as in `Guard`: a right token is let in.
        token = guard.tokens.find(fields.get("token", "").strip())
        if token is None:
            return wrong(request, address, to)
        seconds = guard.settings.http.access.session_hours * 3600
        cookie, _ = guard.signatures.session(token, seconds)
        answer = RedirectResponse(to, 303)
        _set(answer, COOKIE, cookie, int(seconds), secure=guard.is_secure(request))
        answer.delete_cookie(LOGIN_COOKIE)
        told(Visitor(token.name, token.role, By.SESSION, address=address), "login")
        return answer

    def wrong(request: Request, address: str, to: str) -> Response:
        if wait_s := guard.attempts.wait_s(address):
            refused(request, "", "too_many_attempts")
            words = f"This token is not known here, nor were too many before it. Wait {wait_s / 60:.0f} minutes."
            answer = form(request, to, 429, words)
            answer.headers["Retry-After"] = f"{wait_s:.0f}"
            return answer
        guard.failed(address)
        _log.warning("login_failed", peer=address)
        refused(request, "", "login")
        return form(request, to, 401, "This token is not known here.")

    _add_logout(app, guard, told)


def _add_logout(app: FastAPI, guard: Guard, told: Callable[[Visitor, str], None]) -> None:
    @app.post(LOGOUT, include_in_schema=False)
    def log_out(request: Request, fields: Posted) -> Response:
        visitor, own = guard.visitor(request), is_own(request)
        answer = RedirectResponse("/login", 303)
        if visitor is not None and visitor.by is By.SESSION:
            # An old page may always end its session; another site may not.
            if not (own or guard.signatures.csrf_fits(visitor.subject, fields.get(CSRF_FIELD, ""))):
                raise HTTPException(
                    403, "another page asked for this log-out; use the button of a page of this service"
                )
            guard.end(request.cookies.get(COOKIE, ""))
            told(visitor, "logout")
        elif not own:
            # A form of another site comes without the cookie (SameSite), which says nothing of who is logged in: an
            # answer that deletes it would end their session all the same.
            return answer
        answer.delete_cookie(COOKIE)
        return answer


def _set(answer: Response, name: str, value: str, seconds: int, *, secure: bool) -> None:
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure, path="/")
