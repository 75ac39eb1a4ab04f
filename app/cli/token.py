"""Make an access token."""

import fcntl
import os
import sys
from pathlib import Path

import typer

from app.access import Role
from app.errors import Rejected
from app.tokens import make, parse
from bundles.common.strict import nearest


def make_token(name: str, role: str, file: Path | None) -> None:
    """Print a token to standard output, once, and add its line to a file; without one print the line too.

    Raises:
        Rejected: There is no such role, the name stands there already, or the file cannot be written.
    """
    known = [each.value for each in Role]
    if role not in known:
        raise Rejected(f"no role '{role}'{nearest(role, known)}")
    secret, token = make(name, Role(role))
    if file is None:
        _tell(
            f"no file of tokens is set: put this line into one, and set http.access.tokens_file to it\n{token.line()}"
        )
    else:
        _add(file, token.name, token.line())
        _tell(f"{role} '{name}' was added to {file}; this is the token, which is shown only now:\n")
    typer.echo(secret)
    sys.stdout.flush()


def _add(file: Path, name: str, line: str) -> None:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise Rejected(f"{file}: {error.strerror}; where it is read-only, add the line by other means") from error
    with os.fdopen(descriptor, "r+", encoding="utf-8") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        before = opened.read()
        if any(token.name == name for token in parse(before, str(file))):
            raise Rejected(f"{file} has a token of '{name}' already; remove its line first, or take another name")
        opened.write(("" if not before or before.endswith("\n") else "\n") + line)
        opened.flush()
        os.fsync(opened.fileno())


def _tell(words: str) -> None:
    """Beside the token, which alone goes to standard output."""
    typer.echo(words, err=True, nl=False)
