"""Places in a list, opaque to who carries them: the time and the key of the last study that was given."""

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Final, Self

LONGEST: Final = 200
_KEY: Final = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """After which study a page begins, in the order of `received_at` from the newest, then `key`.

    Attributes:
        received_at: Unix time.
        key: Of the study revision.
    """

    received_at: float
    key: str

    def __str__(self) -> str:
        """What is given to who asks for the next page."""
        return base64.urlsafe_b64encode(json.dumps([self.received_at, self.key]).encode()).decode().rstrip("=")

    @classmethod
    def of(cls, given: str) -> Self:
        """Read what was given.

        Raises:
            ValueError: It is no cursor of ours.
        """
        try:
            padded = given[:LONGEST].encode("ascii") + b"=" * (-len(given) % 4)
            received_at, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, TypeError, binascii.Error, RecursionError) as error:
            raise ValueError("no cursor of this list; take `next` of the page before as it is") from error
        sound = (
            isinstance(received_at, float | int) and math.isfinite(received_at) and not isinstance(received_at, bool)
        )
        if not sound or not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError("no cursor of this list; take `next` of the page before as it is")
        return cls(float(received_at), key)

    def precedes(self, received_at: float, key: str) -> bool:
        """Whether a study comes after this place in the list."""
        return (-received_at, key) > (-self.received_at, self.key)
