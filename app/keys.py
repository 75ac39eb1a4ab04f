"""Secret keys of an installation, made the first time somebody needs one: 32 random bytes in the run folder."""

import os
import secrets
from pathlib import Path
from typing import Final

from app.errors import Failed

KEY_BYTES: Final = 32


def installation_key(path: Path, loss: str) -> bytes:
    """Read a key, or make it.

    Args:
        path: Its file.
        loss: What is lost with it, in words: "everybody logs in again".

    Raises:
        Failed: It cannot be read or made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}; a key of this installation is kept there") from error
    if len(key) != KEY_BYTES:
        raise Failed(f"{path} is no key of {KEY_BYTES} bytes; remove it, and {loss}")
    return key


def _make(path: Path) -> None:
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # Of several processes that come at once, one makes it for all.
        os.link(new, path)
    except FileExistsError:
        return
    finally:
        new.unlink(missing_ok=True)
