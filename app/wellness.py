"""Whether a part of the service is well, and the sign of life that a worker leaves for its own container.

Imports next to nothing: a health check runs every few seconds, also on a busy server.
"""

import time
from contextlib import suppress
from pathlib import Path

import structlog
from pydantic import BaseModel

from app.settings import Settings

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where to knock, not where to listen

log = structlog.get_logger()


class Part(BaseModel):
    """One part of the service: whether it works, and what to do where it does not."""

    ok: bool
    detail: str


class Health(BaseModel):
    """The service as a whole: `ok` where every part is."""

    ok: bool
    version: str
    parts: dict[str, Part]


def leave_sign(settings: Settings) -> None:
    """Tell that our worker beats in the database; the age of a file tells it on. A full disk does not stop a worker."""
    try:
        _sign(settings).touch()
    except OSError as error:
        log.warning("sign_of_life_not_left", folder=str(settings.run), problem=error.strerror)


def remove_sign(settings: Settings) -> None:
    """Leave no sign behind."""
    with suppress(OSError):
        _sign(settings).unlink()


def sign_age_s(settings: Settings) -> float | None:
    """Seconds since our worker beat the last time; None where there is no sign of it."""
    try:
        return time.time() - _sign(settings).stat().st_mtime
    except FileNotFoundError:
        return None


def _sign(settings: Settings) -> Path:
    return settings.run / f"{settings.worker.id}.beat"
