"""What a browser carries: a signed session, and tokens against forged requests. Nothing is kept but one key.

All is signed by HMAC-SHA256 with 32 random bytes in the run folder, which the processes of an installation share.
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from app.keys import installation_key
from app.tokens import Token

KEY_FILE: Final = "web-session.key"
FORM_S: Final = 8 * 3600.0
INTERNAL_S: Final = 60.0
INTERNAL: Final = "vigil-internal"
LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in by browser.

    Attributes:
        name: Of the token that it was made with.
        digest: Of that token: another token of the same name does not continue it.
        id: Random.
        expires: Unix time, seconds.
    """

    name: str
    digest: str
    id: str
    expires: float


@dataclass(frozen=True)
class Signatures:
    """Makes and reads what is signed.

    Attributes:
        key: Secret bytes.
        clock: Unix time, seconds.
        form_s: A form may be sent so long after its page was made: as long as a session lasts, so that no page of a
            session that goes on is too old.
    """

    key: bytes
    clock: Callable[[], float] = time.time
    form_s: float = FORM_S

    def session(self, token: Token, seconds: float) -> tuple[str, Session]:
        """Begin a session: the value of its cookie, and itself."""
        made = Session(token.name, token.digest[:16], secrets.token_hex(16), self.clock() + seconds)
        content = _text(json.dumps([made.name, made.digest, made.id, made.expires]).encode())
        return f"{content}.{self._sign('session', content)}", made

    def read_session(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is forged, malformed or over."""
        content, _, signature = cookie.partition(".")
        if len(cookie) > LONGEST or not self._fits("session", content, signature):
            return None
        name, digest, identifier, expires = json.loads(_bytes(content))
        return Session(name, digest, identifier, expires) if self.clock() < expires else None

    def csrf(self, subject: str) -> str:
        """What a form of `subject` (a session, a user of the proxy) has to carry."""
        until = f"{self.clock() + self.form_s:.0f}"
        return f"{until}.{self._sign('csrf', f'{subject}|{until}')}"

    def csrf_fits(self, subject: str, given: str) -> bool:
        """Whether a form of `subject` carried what it was given, and not too long ago."""
        until, _, signature = given.partition(".")
        return len(given) <= LONGEST and self._fits("csrf", f"{subject}|{until}", signature) and self._ahead(until)

    def internal_pass(self) -> str:
        """A token for a minute with which a process of this installation asks for /health."""
        until = f"{self.clock() + INTERNAL_S:.0f}"
        return f"{INTERNAL}.{until}.{self._sign('internal', until)}"

    def is_internal_pass(self, given: str) -> bool:
        """Whether it is one, of now."""
        kind, _, rest = given.partition(".")
        until, _, signature = rest.partition(".")
        fits = len(given) <= LONGEST and self._fits("internal", until, signature)
        return kind == INTERNAL and fits and self._ahead(until)

    def _ahead(self, until: str) -> bool:
        return until.isascii() and until.isdigit() and self.clock() < int(until)

    def _fits(self, purpose: str, content: str, signature: str) -> bool:
        return hmac.compare_digest(self._sign(purpose, content).encode(), signature.encode("utf-8", "replace"))

    def _sign(self, purpose: str, content: str) -> str:
        message = f"{purpose}|{content}".encode("utf-8", "replace")
        return _text(hmac.new(self.key, message, sha256).digest())


def signatures(run: Path, form_s: float = FORM_S) -> Signatures:
    """With the key of the installation, made the first time.

    Raises:
        Failed: It cannot be read or made.
    """
    return Signatures(installation_key(run / KEY_FILE, "everybody logs in again"), form_s=form_s)


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
