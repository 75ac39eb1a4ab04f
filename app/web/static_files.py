"""What pages load beside themselves: styles, scripts, the icon. Read once; nothing else can be asked for by a path."""

import mimetypes
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response

FOLDER: Final = Path(__file__).parent / "static"
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "public, no-cache"
VERSION_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file.

    Attributes:
        content: Its bytes.
        media_type: As browsers want it.
        version: Changes with the content.
    """

    content: bytes
    media_type: str
    version: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Every file of the folder, by name."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.is_file()}


def static_url(name: str) -> str:
    """Where a page finds a file: an address that changes with the content, so that browsers may keep it for ever.

    Raises:
        KeyError: There is no such file.
    """
    return f"/static/{name}?v={static_files()[name].version}"


def add_static(app: FastAPI) -> None:
    """Add `/static/NAME`, open to all: the log-in page needs it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def static(name: str, request: Request, v: Annotated[str, Query(max_length=64)] = "") -> Response:
        file = static_files().get(name)
        if file is None:
            raise HTTPException(404, "there is no such file")
        headers = {"ETag": f'"{file.version}"', "Cache-Control": FOR_EVER if v == file.version else ASK_AGAIN}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    app.include_router(router)


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return StaticFile(content, kind, sha256(content).hexdigest()[:VERSION_DIGITS])
