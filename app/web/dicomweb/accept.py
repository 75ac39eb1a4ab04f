"""What a client accepts (PS3.18 sections 8.7.3, 8.7.4): media types, and of their parts the type and encoding."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 4096
ANY: Final = "*"
JSON: Final = ("application/dicom+json", "application/json")
RELATED: Final = "multipart/related"
DICOM: Final = "application/dicom"
OCTETS: Final = "application/octet-stream"
_PIECE: Final = re.compile(r'((?:[^",;]|"[^"]*")*)([,;]|$)')


@dataclass(frozen=True, slots=True)
class Accepted:
    """One media type that would do.

    Attributes:
        media_type: "multipart/related", "*/*".
        part: Type of its parts, where it is multipart; else the type itself.
        transfer_syntax: UID, "*" for any, "" where it is not said.
    """

    media_type: str
    part: str
    transfer_syntax: str

    def takes(self, kind: str) -> bool:
        """Whether content of a media type would do, as the whole answer or as its parts."""
        family = kind.partition("/")[0]
        return self.part in {kind, f"{family}/*", "*/*", ANY}

    @property
    def is_multipart(self) -> bool:
        """Whether an answer of several parts would do."""
        return self.media_type in {RELATED, "multipart/*", "*/*", ANY}

    def takes_syntax(self, uid: str) -> bool:
        """Whether that transfer syntax would do; one that says nothing takes what is stored."""
        return self.transfer_syntax in {"", ANY, uid}


def parse(header: str | None) -> Sequence[Accepted]:
    """Read an Accept header, the most wanted first; without one, or with an empty one, everything would do.

    Raises:
        ValueError: It cannot be read.
    """
    if header is None or not header.strip():
        return (Accepted("*/*", "*/*", ""),)
    if len(header) > LONGEST:
        raise ValueError(f"accept: longer than {LONGEST} characters")
    found = [each for each in map(_accepted, _split(header)) if each is not None]
    if not found:
        raise ValueError("accept: no media type stands there")
    return tuple(accepted for _, accepted in sorted(found, key=lambda each: -each[0]))


def _split(header: str) -> Iterator[list[str]]:
    """Media types, each with its parameters."""
    parts: list[str] = []
    for piece, end in _PIECE.findall(header):
        parts.append(piece.strip())
        if end != ";":
            if any(parts):
                yield parts
            parts = []


def _accepted(parts: Sequence[str]) -> tuple[float, Accepted] | None:
    media_type = parts[0].lower()
    if not re.fullmatch(r"[a-z0-9*+.-]+(/[a-z0-9*+.-]+)?", media_type):
        raise ValueError(f"accept: '{parts[0][:64]}' is no media type")
    values = _parameters(parts[1:])
    quality = _quality(values.get("q", "1"))
    # Without the type of its parts a multipart answer is of DICOM files where those are asked for: any would do.
    part = values.get("type", "*/*").lower() if media_type.startswith("multipart/") else media_type
    return (quality, Accepted(media_type, part, values.get("transfer-syntax", ""))) if quality > 0 else None


def _parameters(parts: Sequence[str]) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in parts)
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs if name.strip()}


def _quality(text: str) -> float:
    if not re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", text):
        raise ValueError(f"accept: q={text[:16]} is none; write 0 to 1")
    return float(text)
