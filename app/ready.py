"""A process tells its supervisor that it works: one byte into a pipe that it was given.

Nobody else has the pipe, so that another service on the same ports cannot answer for this one. The pattern is that of
s6's notification-fd.
"""

import os

READY_FD = "SUPERVISOR_READY_FD"
"""Environment variable: the descriptor to write to."""


def tell_ready() -> None:
    """Say that this process does its work now. Nothing happens without a supervisor, or the second time."""
    number = os.environ.pop(READY_FD, None)
    if number is not None:
        with os.fdopen(int(number), "wb") as pipe:
            pipe.write(b"\n")
