"""Answers of several parts (PS3.18 section 8.6.1.2), sent piece by piece: a study is never in memory."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi.responses import StreamingResponse

PIECE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        content_type: Of it.
        source: A file, or bytes.
        location: Its address; "" leaves it out.
    """

    content_type: str
    source: Path | bytes
    location: str = ""


def related(parts: Iterable[Part], kind: str) -> StreamingResponse:
    """Answer with parts.

    Args:
        parts: In their order.
        kind: Media type of the first, which the whole is named after.
    """
    # Of 128 random bits: it stands in no file.
    boundary = secrets.token_hex(16)
    return StreamingResponse(
        _content(parts, boundary), media_type=f'multipart/related; type="{kind}"; boundary={boundary}'
    )


def pieces(source: Path | bytes) -> Iterator[bytes]:
    """The content of a part."""
    if isinstance(source, bytes):
        yield source
        return
    # One that was removed meanwhile breaks the answer off, which the client sees: it is not taken for whole.
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _content(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        yield f"--{boundary}\r\nContent-Type: {part.content_type}\r\n{location}\r\n".encode()
        yield from pieces(part.source)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
