"""Access tokens: made here, kept as hashes in a file, one a line: `NAME ROLE sha256:HEX`.

A token has 256 random bits, so that its plain SHA-256 tells nothing of it and a slow hash would add nothing. Whoever
writes the file by other means keeps to that: `openssl rand -hex 32`, and of what it prints
`printf %s TOKEN | sha256sum`.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from app.access import Role
from app.errors import Rejected

PREFIX: Final = "vigil_"
LONGEST: Final = 512
"""Of a token, in characters: what is longer is refused unread."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Token:
    """Who has it, what it allows, and its SHA-256 in hexadecimal digits."""

    name: str
    role: Role
    digest: str

    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name} {self.role} sha256:{self.digest}\n"


def make(name: str, role: Role) -> tuple[str, Token]:
    """Make a token: what to give to whom it is for, and what to keep.

    Raises:
        Rejected: The name cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise Rejected("the name of a token has letters, digits and _ . @ -, at most 64 of them")
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, Token(name, role, digest(secret))


def digest(secret: str) -> str:
    """What is kept of a token."""
    return sha256(secret.encode()).hexdigest()


def parse(text: str, where: str) -> tuple[Token, ...]:
    """Read the lines of a file; empty ones and comments (#) are passed over.

    Raises:
        Rejected: With the number of the line and not its words, which may be a secret.
    """
    found: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        kept = _DIGEST.fullmatch(words[2]) if len(words) == 3 else None
        if kept is None or not _NAME.fullmatch(words[0]) or words[1] not in {role.value for role in Role}:
            raise Rejected(f"{where}, line {number}: expected `NAME ROLE sha256:HEX`; `python -m app token` makes one")
        if words[0] in found:
            raise Rejected(f"{where}, line {number}: a second token of that name; remove one, or name it otherwise")
        found[words[0]] = Token(words[0], Role(words[1]), kept[1])
    return tuple(found.values())


def read(path: Path) -> tuple[Token, ...]:
    """Read a file of tokens.

    Raises:
        Rejected: It is missing or malformed.
    """
    try:
        return parse(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise Rejected(f"http.access.tokens_file {path}: no text in UTF-8") from error


def _unreadable(path: Path, error: OSError) -> Rejected:
    hint = "`python -m app token` (containers: deploy/setup --token) makes it"
    if isinstance(error, PermissionError):
        hint = "let the user of the service read it (chmod 644) and enter its folder (chmod 755)"
    return Rejected(f"http.access.tokens_file {path}: {error.strerror}; {hint}")


class TokenFile:
    """The tokens of a file as it is now. What cannot be read lets nobody in.

    Args:
        path: None has no tokens.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._problem = ""

    def find(self, secret: str) -> Token | None:
        """Whose token that is. Takes as long for any that is none."""
        if len(secret) > LONGEST:
            return None
        wanted, found = digest(secret), None
        for token in self._current():
            if hmac.compare_digest(token.digest, wanted):
                found = token
        return found

    def named(self, name: str) -> Token | None:
        """The token of that name, as it is now."""
        return next((token for token in self._current() if token.name == name), None)

    def _current(self) -> tuple[Token, ...]:
        if self._path is None:
            return ()
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._tokens, self._stamp, self._problem = read(self._path), stamp, ""
        except Rejected as error:
            self._tokens, self._stamp = (), None
            if str(error) != self._problem:
                hint = "nobody can log in by token until that is mended"
                _log.error("tokens_unreadable", problem=str(error), hint=hint)
            self._problem = str(error)
        return self._tokens


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes with a file.

    Raises:
        Rejected: It cannot be looked at.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return state.st_mtime_ns, state.st_size, state.st_ino
