"""Before every route: security headers, and nobody in who may not; see `app.web.guard`."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Role
from app.web.api.problems import wants_page
from app.web.guard import (
    CSRF_FIELD,
    CSRF_HEADER,
    LARGEST_FORM,
    READING,
    STREAMED,
    By,
    Guard,
    Visitor,
    form_of,
    is_foreign,
    is_own,
    role_for,
)
from app.web.headers import CACHE, HEADERS
from app.web.notices import Notice
from app.web.reader import NOBODY
from app.web.told import answer
from app.web.ways import login_address, page_of_form

HSTS: Final = "max-age=31536000"
CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}
TOO_OLD: Final = "This page was too old: nothing was done."
TRY_AGAIN: Final = "Look at it as it is now, and try again."

_log = structlog.get_logger()

Refused = Callable[[Request, str, str], None]


class Gate:
    """ASGI middleware around the whole application.

    Args:
        app: What lies behind.
        guard: Knows visitors.
        refused: Told of each request that is refused: the request, the name of who asked, the reason in one word.
    """

    def __init__(self, app: ASGIApp, guard: Guard, refused: Refused) -> None:
        self._app, self._guard, self._refused = app, guard, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        secured = self._with_headers(send, self._guard.is_secure(request))
        answer, again = await self._examine(request)
        if answer is not None:
            await answer(scope, receive, secured)
        else:
            await self._app(scope, again or receive, secured)

    async def _examine(self, request: Request) -> tuple[Response | None, Receive | None]:
        """Answer who must not pass; else give what is read of the body already."""
        # Not of `request.url`, which is put together with the Host header: whoever asks could write a path into that.
        role = role_for(request.method, request.scope["path"])
        if role is None:
            return None, None
        visitor = self._guard.visitor(request)
        if visitor is None or not visitor.may(role):
            return await asyncio.to_thread(self._refuse, request, visitor, role), None
        request.state.visitor = visitor
        if request.method in READING:
            if request.method == "GET" and wants_page(request):
                request.state.notice = self._guard.notices.take(visitor.subject, request.scope["path"])
            return None, None
        if STREAMED.fullmatch(request.scope["path"]):
            return await self._forged(request, visitor, request.headers.get(CSRF_HEADER, ""), {}), None
        body = await _body(request)
        if body is None:
            detail = f"the body is longer than {LARGEST_FORM} bytes"
            return answer(request, self._guard.reader(visitor), 413, detail), None
        fields = form_of(request.headers.get("content-type", ""), body)
        given = request.headers.get(CSRF_HEADER) or fields.get(CSRF_FIELD, "")
        return await self._forged(request, visitor, given, fields), _once_more(body, request.receive)

    async def _forged(self, request: Request, visitor: Visitor, given: str, fields: dict[str, str]) -> Response | None:
        """Refuse what another site may have made a browser ask; None lets it pass."""
        if not visitor.subject:
            return None
        if self._guard.signatures.csrf_fits(visitor.subject, given) and not is_foreign(request):
            return None
        await asyncio.to_thread(self._tell, request, visitor, "csrf")
        return self._too_old(request, visitor, fields)

    def _too_old(self, request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
        """Where a page of ours sent it: back to that page, or a new token for its script. Nothing is done."""
        reader, page = self._guard.reader(visitor), page_of_form(request.scope["path"])
        if not is_own(request):
            return answer(request, reader, 403, "this form is too old, or not ours; load its page again")
        if page and wants_page(request):
            typed = {name: value for name, value in fields.items() if name != CSRF_FIELD}
            notice = Notice("bad", f"{TOO_OLD} {TRY_AGAIN}", form=request.scope["path"], typed=typed)
            self._guard.notices.leave(visitor.subject, page, notice)
            return RedirectResponse(page, 303)
        return answer(request, reader, 403, f"{TOO_OLD} {TRY_AGAIN}", {CSRF_HEADER: reader.csrf})

    def _refuse(self, request: Request, visitor: Visitor | None, role: Role) -> Response:
        wait_s = self._guard.attempts.wait_s(self._guard.address(request))
        if visitor is None and wait_s:
            self._tell(request, visitor, "too_many_attempts")
            words = f"too many wrong tokens came from your address; wait {wait_s:.0f} s, or use a right one"
            return answer(request, NOBODY, 429, words, {"Retry-After": f"{wait_s:.0f}"})
        if visitor is None:
            self._tell(request, visitor, "token")
            return answer(request, NOBODY, 401, "this token is not known here", CHALLENGE)
        if visitor.by is not By.NOBODY:
            self._tell(request, visitor, "role")
            words = f"'{visitor.name}' is no {role}; ask who runs this service"
            return answer(request, self._guard.reader(visitor), 403, words)
        return self._unknown(request)

    def _unknown(self, request: Request) -> Response:
        """Answer who has not logged in: a person who wants to read is led to the log-in, and back afterwards."""
        if not wants_page(request):
            return answer(
                request, NOBODY, 401, "log in: Authorization: Bearer TOKEN, or /login in a browser", CHALLENGE
            )
        if self._guard.settings.http.access.tokens_file is None:
            return answer(request, NOBODY, 401, "Log in by way of the proxy.", CHALLENGE)
        if request.method in READING:
            address = login_address(request.scope["path"], request.scope["query_string"].decode("latin-1"))
            return RedirectResponse(address, 303)
        return answer(request, NOBODY, 401, "Your log-in has ended, or there was none.", CHALLENGE)

    def _tell(self, request: Request, visitor: Visitor | None, reason: str) -> None:
        name = visitor.name if visitor else ""
        _log.warning("request_refused", reason=reason, user=name, peer=self._guard.address(request))
        self._refused(request, name, reason)

    def _with_headers(self, send: Send, secure: bool) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    # A route may say how long its answer keeps, and nothing else of these.
                    if name != CACHE or CACHE not in headers:
                        headers[name] = value
                if secure:
                    headers["Strict-Transport-Security"] = HSTS
            await send(message)

        return sending


async def _body(request: Request) -> bytes | None:
    """The whole body; None where it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return None
    return bytes(body)


def _once_more(body: bytes, rest: Receive) -> Receive:
    """Give the body that was read to who reads it next; then what comes, which is the end of the connection."""
    told = False

    async def receive() -> Message:
        nonlocal told
        if told:
            # Not an end of our own: a file that is being sent would stop there.
            return await rest()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
