"""Who somebody is on the HTTP side, and what they may do. Whatever is not opened here stays shut.

A gate before the whole application, and not a mark on each route: a route that forgets its mark would be open.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request
from starlette.datastructures import Headers

from app.access import Proxy, Role, visitors_role
from app.peers import plain_address
from app.settings import Settings
from app.tokens import TokenFile
from app.web.attempts import Attempts
from app.web.notices import Notices
from app.web.reader import Reader
from app.web.sessions import Signatures

COOKIE: Final = "vigil_session"
LOGIN_COOKIE: Final = "vigil_login"
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
LARGEST_FORM: Final = 1 << 16
FORM: Final = "application/x-www-form-urlencoded"
READING: Final = frozenset({"GET", "HEAD"})
STREAMED: Final = re.compile(r"/api/v1/(uploads|upload-sessions/[0-9a-f]{32}/files)")
"""Where a body may be longer than a form: it goes to disk as it comes, and its CSRF token stands in the header."""

LOGOUT: Final = "/logout"
OPEN: Final = frozenset({"/health/live", "/login", LOGOUT})
"""What everybody may ask for. To leave needs no role; `app.web.login` sees to it that no other site makes one leave."""
STATIC: Final = "/static/"
"""Styles and scripts, which the log-in page needs before anybody is known; nothing of a study lies there."""
ROLES: Final[Mapping[str, Role]] = {
    "/metrics": Role.MONITOR,
    "/health": Role.MONITOR,
    "/api/v1/health": Role.MONITOR,
    "/feedback/export": Role.ADMIN,
}
"""What a path needs beside the rule: reading needs a viewer, all else an operator."""
UPLOADING: Final = ("/upload", "/api/v1/upload")
"""What begins so needs an operator, also to be read."""
CHANGING: Final[Mapping[str, Role]] = {"/feedback/study/": Role.VIEWER, "/bundles/": Role.ADMIN}
"""What it needs to change something below a path: readers say what they think; what is served is an administrator's."""


class By(StrEnum):
    """How somebody was known."""

    TOKEN = "token"  # noqa: S105  a word, no secret
    SESSION = "session"
    PROXY = "proxy"
    INTERNAL = "internal"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    Attributes:
        name: Of the token or of the proxy's user; "" of nobody.
        role: None may do nothing.
        by: How that is known.
        subject: What tokens against forged requests are bound to; "" where a browser adds nothing by itself, so that no
            other site can make it ask in this name.
        address: From where, behind a proxy as that says.
    """

    name: str
    role: Role | None
    by: By
    subject: str = ""
    address: str = ""

    def may(self, role: Role) -> bool:
        """Whether they may do what that role may."""
        return self.role is not None and self.role.covers(role)


@dataclass(frozen=True)
class Guard:
    """Knows visitors.

    Attributes:
        settings: Of the installation.
        signatures: Of sessions and forms.
        tokens: Those that are given out.
        attempts: Failed log-ins.
    """

    settings: Settings
    signatures: Signatures
    tokens: TokenFile
    attempts: Attempts
    ended: dict[str, float]
    """Sessions that were left, by id, with their ends: a cookie that was copied before does not continue them."""
    notices: Notices = field(default_factory=Notices)

    @classmethod
    def of(cls, settings: Settings, signatures: Signatures) -> "Guard":
        """For these settings."""
        return cls(settings, signatures, TokenFile(settings.http.access.tokens_file), Attempts(), {})

    def visitor(self, request: Request) -> Visitor | None:
        """Tell who asks; None where they show a token that is wrong."""
        access, address = self.settings.http.access, self.address(request)
        authorization = request.headers.get("authorization")
        if (proxy := self._proxy(request)) is not None and (user := _single(request.headers, proxy.user_header)):
            return Visitor(user, _role(proxy, request.headers), By.PROXY, f"proxy|{user}", address)
        if authorization is not None:
            return self._by_token(authorization, address)
        if (cookie := request.cookies.get(COOKIE)) and (known := self._by_session(cookie, address)) is not None:
            return known
        return Visitor("", visitors_role(access, self.settings.http.host), By.NOBODY, address=address)

    def address(self, request: Request) -> str:
        """From where somebody asks: of the proxy the last address that it added itself."""
        if self._proxy(request) is not None and (added := request.headers.get("x-forwarded-for")):
            try:
                return str(ip_address(added.rpartition(",")[2].strip()))
            except ValueError:
                return _peer(request)
        return _peer(request)

    def reader(self, visitor: Visitor) -> Reader:
        """For whom a page is made."""
        csrf = self.signatures.csrf(visitor.subject) if visitor.subject else ""
        return Reader(visitor.name, csrf, visitor.role, may_leave=visitor.by is By.SESSION)

    def is_secure(self, request: Request) -> bool:
        """Whether the browser came by HTTPS, to us or to the proxy."""
        if self.settings.http.tls is not None:
            return True
        return self._proxy(request) is not None and request.headers.get("x-forwarded-proto") == "https"

    def failed(self, address: str) -> None:
        """Count a wrong token. What comes while an address has to wait is not counted: it would wait without end."""
        if not self.attempts.wait_s(address):
            self.attempts.failed(address)

    def end(self, cookie: str) -> None:
        """End a session."""
        now = self.signatures.clock()
        for identifier in [each for each, until in self.ended.items() if until < now]:
            del self.ended[identifier]
        if (session := self.signatures.read_session(cookie)) is not None:
            self.ended[session.id] = session.expires

    def _proxy(self, request: Request) -> Proxy | None:
        proxy = self.settings.http.access.proxy
        if proxy is None:
            return None
        try:
            address = plain_address(_peer(request))
        except ValueError:
            return None
        within = any(address in each for each in proxy.addresses if each.version == address.version)
        return proxy if within else None

    def _by_token(self, authorization: str, address: str) -> Visitor | None:
        kind, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer":
            return None
        if self.signatures.is_internal_pass(secret):
            return Visitor("vigil", Role.MONITOR, By.INTERNAL, address=address)
        # Before the failures are looked at: a right token is let in, whoever else behind its address has a wrong one.
        token = self.tokens.find(secret)
        if token is None:
            self.failed(address)
            return None
        return Visitor(token.name, token.role, By.TOKEN, address=address)

    def _by_session(self, cookie: str, address: str) -> Visitor | None:
        session = self.signatures.read_session(cookie)
        if session is None or session.id in self.ended:
            return None
        token = self.tokens.named(session.name)
        # Without its token a session ends at once: that is how access is taken away.
        if token is None or token.digest[:16] != session.digest:
            return None
        return Visitor(token.name, token.role, By.SESSION, f"session|{session.id}", address)


def role_for(method: str, path: str) -> Role | None:
    """What a request needs; None where it is open to all."""
    if path in OPEN or (path.startswith(STATIC) and method in READING):
        return None
    if path in ROLES:
        return ROLES[path]
    if path.startswith(UPLOADING):
        return Role.OPERATOR
    if method in READING:
        return Role.VIEWER
    return next((role for start, role in CHANGING.items() if path.startswith(start)), Role.OPERATOR)


def is_foreign(request: Request) -> bool:
    """Whether the browser says that another site made it ask."""
    return request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}


def is_own(request: Request) -> bool:
    """Whether the browser says that a page of ours made it ask.

    By `Sec-Fetch-Site`; browsers send it by HTTPS alone, so that without it `Origin` is compared with where it asked.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    return bool(host) and origin in {f"http://{host}", f"https://{host}"}


def form_of(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form, each once; {} of anything else."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        return {}
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _role(proxy: Proxy, headers: Headers) -> Role | None:
    groups = {each.strip() for each in (_single(headers, proxy.groups_header) or "").split(",")}
    roles: Sequence[Role] = [role for group, role in proxy.roles.items() if group in groups]
    return max(roles, key=list(Role).index, default=None)


def _single(headers: Headers, name: str) -> str | None:
    """A header that stands there once: of two the proxy may have checked the other one."""
    values = headers.getlist(name)
    return values[0].strip() if len(values) == 1 else None


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
