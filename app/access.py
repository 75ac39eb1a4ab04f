"""Who may do what on the HTTP side: roles, and the settings that say who has them."""

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from app.peers import Network
from app.tls.settings import KeyPair
from bundles.common.strict import Strict


class Role(StrEnum):
    """What somebody may do, each more than the one before.

    `monitor` reads /metrics and /health, for machines; `viewer` sees studies; `operator` sends them again; `admin` is
    for what changes the installation.
    """

    MONITOR = "monitor"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, other: "Role") -> bool:
        """Whether this role may do what the other may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


class Proxy(Strict):
    """A log-in proxy (OpenID Connect) in front of us, which names in headers who has logged in.

    Attributes:
        addresses: Of the proxy itself; the headers of everybody else are not believed.
        user_header: Holds the name of the user.
        groups_header: Holds the groups, with commas between; None: there are none.
        roles: Role of each group. Who is in none of them may do nothing.
    """

    addresses: tuple[Network, ...] = Field(min_length=1)
    user_header: str = Field("X-Forwarded-User", pattern=r"^[A-Za-z0-9-]+$")
    groups_header: str = Field("X-Forwarded-Groups", pattern=r"^[A-Za-z0-9-]+$")
    roles: dict[str, Role] = Field(min_length=1)


class Access(Strict):
    """Who may use the HTTP side.

    Attributes:
        anonymous: What those may do who have not logged in. None: they are viewers while nobody but this machine can
            reach the port and no other way in is set, else nothing.
        tokens_file: A line for each token: `python -m app token` makes them.
        proxy: In front of us.
        session_hours: A log-in by browser lasts so long.
    """

    anonymous: Literal["none", "viewer"] | None = None
    tokens_file: Path | None = None
    proxy: Proxy | None = None
    session_hours: float = Field(8, gt=0, le=168)

    @property
    def is_set(self) -> bool:
        """Whether there is a way to log in."""
        return self.tokens_file is not None or self.proxy is not None


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a port there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def visitors_role(access: Access, host: str) -> Role | None:
    """What those may do who have not logged in; None is nothing.

    Args:
        access: The settings.
        host: Where the port is bound.
    """
    if access.anonymous is None:
        return Role.VIEWER if is_loopback(host) and not access.is_set else None
    return Role.VIEWER if access.anonymous == "viewer" else None


def open_door(access: Access, host: str) -> str:
    """Why the HTTP side must not start so, and what to write; "" where it may."""
    if access.is_set or access.anonymous == "viewer" or is_loopback(host):
        return ""
    return (
        f"http: on {host} others can reach the studies, and http.access says of nobody that they may: make a token "
        "(`python -m app token NAME --role viewer --file FILE`) and set http.access.tokens_file to that file, or set "
        "http.access.proxy for a log-in proxy; `http.access.anonymous: viewer` lets everybody see them"
    )


class Http(Strict):
    """The HTTP side: pages, API, /health, /metrics. With `tls` it speaks HTTPS and nothing else.

    Attributes:
        host: Where the port is bound.
        port: Its number.
        published: Address of the server that a container's port is published on. `check` alone asks for it, to warn of
            log-ins that others can read; who may come in is decided by `host`.
        tls: Certificate and key.
        access: Who may come in.
    """

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    published: str | None = None
    tls: KeyPair | None = None
    access: Access = Access()

    @model_validator(mode="after")
    def _door_is_shut(self) -> Self:
        problem = open_door(self.access, self.host)
        if problem:
            raise ValueError(problem)
        return self
