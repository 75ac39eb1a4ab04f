"""One root for every error the service raises on purpose.

The kind of an error decides what happens to the study: `Retryable` is tried again with back-off, `Rejected` is the
input's fault and is never retried, `Failed` is ours. All three end a matched study as *undetermined*, never as absent.
"""

from traceback import extract_tb
from typing import ClassVar, Final


class AppError(Exception):
    """Root of the service's own errors.

    The message names what was looked at (a file by its spool name, a UID by its hash), what was expected and what to
    do next. It never holds patient data.

    Attributes:
        reason: What it is counted as, one of `FAILURES`.
    """

    reason: ClassVar[str] = "service"


class Retryable(AppError):
    """The same attempt may succeed later: a destination is down, a disk is full, a database is locked.

    Attributes:
        after_s: Not before so many seconds, where the other side said so.
    """

    reason = "passing"

    def __init__(self, message: str, after_s: float = 0) -> None:
        super().__init__(message)
        self.after_s = after_s


class Rejected(AppError):
    """The input cannot be used as it is: a truncated file, a missing slice, an unknown setting."""

    reason = "input"


class Failed(AppError):
    """Our own side is at fault: a bundle's weights do not match, an encoder broke, a network returned NaN."""


class TookTooLong(Failed):
    """Work that ran over its time."""

    reason = "timeout"


class Unexpected(Failed):
    """What nobody expected broke; the log says where."""

    reason = "unexpected"


class OutOfMemory(Retryable):
    """The accelerator has no room."""

    reason = "out_of_memory"


FAILURES: Final = ("input", "service", "timeout", "unexpected", "out_of_memory", "passing", "geometry", "worker_died")
"""What a failure is counted as: the errors above, and two that are no exceptions (a series that fails the geometry
gate, a study that kills its worker again and again)."""


def location(error: BaseException) -> str:
    """Where an unexpected error came from, for logs: "loader.py:41 < runner.py:112".

    Neither the message nor any value is told: both may hold what stood in an image's headers.
    """
    frames = extract_tb(error.__traceback__)[::-1]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[:4])
