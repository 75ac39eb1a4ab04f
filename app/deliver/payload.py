"""What is handed over, as the bytes that lie on disk, and secrets that go with it."""

from pathlib import Path

from app.documents import Document
from app.errors import Rejected

LONGEST_SECRET = 16_384


def content(document: Document) -> bytes:
    """Read a document.

    Raises:
        Rejected: It was never made, or its file is gone.
    """
    if document.problem:
        raise Rejected(f"{document.path.name} was never made: {document.problem}")
    try:
        return document.path.read_bytes()
    except OSError as error:
        words = f"{document.path.name} is not there ({error.strerror}); it may have been removed with the results"
        raise Rejected(words) from error


def secret(path: Path, key: str) -> str:
    """Read one line of text from a file that a setting names, at every use, so that it can be changed.

    Raises:
        Rejected: The file is missing or empty, or holds more than a line of printable ASCII; the message begins with
            `key` and the file, and tells nothing of what stands in it.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_SECRET + 1)
    except OSError as error:
        raise Rejected(f"{key} {path}: {error.strerror}; put the secret there, readable for this user") from error
    text = raw.decode("ascii", errors="replace").strip()
    if not text:
        raise Rejected(f"{key} {path} is empty")
    if len(raw) > LONGEST_SECRET or not text.isascii() or not text.isprintable():
        raise Rejected(f"{key} {path}: expected one line of printable ASCII")
    return text
