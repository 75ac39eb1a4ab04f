"""Studies whose sender broke off before it had finished: one durable file each.

A mark says that an association which sent images of the study ended in another way than by A-RELEASE: aborted, timed
out, its connection lost, or this process killed. It goes when an association that began to send the study afterwards is
released and brought an image that was not there, or all that were: the sender came back and finished.

A sender may be taken for dead long after its last image, when the same images came again by another way. So a mark says
when its sender was last heard of, and one that sent all that is there, begun after that, takes it back although the
mark came while it was at work. One that ends before the silent sender leaves a note beside the marks that excuses it,
for as long as that stays silent. Neither counts while an image lacks in whose middle the silent sender was cut off.
"""

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import structlog

from app.receive.folders import locked, sync_folder

_NEW = ".new"
_EXCUSE = ".excused-"

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

    def mark(self, key: str, heard: int | None = None, halves: Iterable[str] = ()) -> None:
        """Mark a study durably, in the place of an older mark. The caller is `alone`.

        Args:
            key: Of the study.
            heard: When its sender was last heard of, Unix time in ns; None is now.
            halves: Hashes of the SOP Instance UIDs of images in whose middle it was cut off.

        Raises:
            OSError: The disk is full or broken.
        """
        new = self._folder / _NEW
        last = max(time.time_ns() if heard is None else heard, self._heard(key))
        with new.open("w", encoding="ascii") as file:
            file.write(
                "".join(f"{line}\n" for line in (uuid.uuid4().hex, last, *sorted(self._halves(key).union(halves))))
            )
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

    def clear_before(self, key: str, begun: int, there: Set[str]) -> None:
        """Take a mark back whose sender was not heard of any more when another began, which then sent everything.

        Args:
            key: Of the study.
            begun: When the other began to send it, Unix time in ns.
            there: Hashes of the SOP Instance UIDs of all its images.
        """
        with self.alone():
            if self._heard(key) < begun and self._halves(key) <= there:
                (self._folder / key).unlink(missing_ok=True)

    def excuse(self, association: str, key: str, begun: int) -> None:
        """Note that all of a study came by another way, begun at `begun` (ns), after this one was last heard of.

        Not fsynced: after a power cut the study is marked, at worst, and waits.

        Raises:
            OSError: The disk is full or broken.
        """
        self._excuse(association, key).write_text(f"{begun}\n", "ascii")

    def excuses(self, association: str, key: str, heard: int) -> bool:
        """Whether the end of an association, last heard of at `heard` (ns), spoils nothing of a study: it was excused,
        and is silent since.
        """
        try:
            begun = self._excuse(association, key).read_text("ascii").strip()
        except FileNotFoundError:
            return False
        # One that a full disk cut short excuses nothing.
        return begun.isdecimal() and heard < int(begun)

    def forget(self, association: str) -> None:
        """Remove what excused an association; it has ended."""
        for path in self._folder.glob(f"{_EXCUSE}{association}.*"):
            path.unlink(missing_ok=True)

    def _excuse(self, association: str, key: str) -> Path:
        return self._folder / f"{_EXCUSE}{association}.{key}"

    def _heard(self, key: str) -> int:
        """When the sender of a marked study was last heard of, ns; 0 where there is no mark."""
        try:
            last = "".join(self.token(key).split("\n")[1:2])
            # A mark of an earlier version says no time: its own is later than any that it would have said.
            return int(last) if last.isdecimal() else (self._folder / key).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _halves(self, key: str) -> frozenset[str]:
        """Images in whose middle the senders of a marked study were cut off."""
        return frozenset(filter(None, self.token(key).split("\n")[2:]))
