"""Studies whose sender broke off before it had finished: one durable file each.

A mark says that an association which sent images of the study ended in another way than by A-RELEASE: aborted, timed
out, its connection lost, or this process killed. It goes when an association that began to send the study afterwards is
released and brought an image that was not there, or all that were: the sender came back and finished.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import structlog

from app.receive.folders import locked, sync_folder

_NEW = ".new"

_log = structlog.get_logger()


class Interruptions:
    """The marks of a spool, shared by all processes that use it.

    Each mark holds a token of its own. Who wants to take a mark back must know its token, so that an association never
    takes back what happened after it had begun.

    Args:
        folder: Must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, key: str) -> bool:
        """Whether a study, by its key, is marked."""
        return (self._folder / key).exists()

    def token(self, key: str) -> str:
        """The token of a study's mark, "" where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / key).read_text("ascii")
        return ""

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other process from marking and clearing meanwhile."""
        with locked(self._folder, fcntl.LOCK_EX):
            yield

    def mark(self, key: str) -> None:
        """Mark a study durably, in the place of an older mark. The caller is `alone`.

        Raises:
            OSError: The disk is full or broken.
        """
        new = self._folder / _NEW
        with new.open("w", encoding="ascii") as file:
            file.write(uuid.uuid4().hex)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._folder / key)
        sync_folder(self._folder)
        _log.warning("sender_broke_off", study=key[:12])

    def clear(self, key: str, token: str) -> None:
        """Take a mark back, unless it was renewed since its token was read."""
        with self.alone():
            if self.token(key) == token:
                (self._folder / key).unlink(missing_ok=True)
