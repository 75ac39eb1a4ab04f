"""Which associations live: one locked file each, naming the studies they have sent images of.

The lock (flock) belongs to the process, so that an association ends with it even after kill -9: a lock that can be
taken means a dead sender. An association that is released removes its file first; one that ends in any other way leaves
it, and whoever meets it without its lock turns it into marks of interruption (`interruptions`).
"""

import contextlib
import fcntl
import os
import uuid
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from app.receive.folders import sync_folder
from app.receive.interruptions import Interruptions

KEY_LENGTH = 32
_NEW = ".new-"

_log = structlog.get_logger()


class Presence:
    """One living association, from the first C-STORE to release, abort or the death of its process.

    Args:
        folder: Of the spool's presences.
        interruptions: What a release takes back.
        studies: Folder of the spool's studies.
    """

    def __init__(self, folder: Path, interruptions: Interruptions, studies: Path) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder
        self._path = folder / self.id
        self._interruptions = interruptions
        self._studies = studies
        self._marks: dict[str, str] = {}
        self._begun: dict[str, int] = {}
        self._sent: dict[str, set[str]] = {}
        self._grown: set[str] = set()
        # Locked under a name nobody looks at, then renamed: a reader never meets a file that is not locked yet.
        new = folder / f"{_NEW}{self.id}"
        self._descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        new.rename(self._path)

    def announce(self, key: str) -> None:
        """Name a study that this association sends, durably. Comes before its first image can be seen.

        Raises:
            OSError: The disk is full or broken.
        """
        if key in self._marks:
            return
        os.write(self._descriptor, f"{key}\n".encode())
        # The evidence, if the machine goes down before the sender has finished.
        os.fsync(self._descriptor)
        sync_folder(self._folder)
        self._begun[key] = self._heard()
        self._marks[key] = self._interruptions.token(key)

    def sends(self, key: str, name: str) -> None:
        """Note an image of an announced study, by the name of its file. Comes before the file is there."""
        # When this association was last heard of; see `interruptions`.
        if self._descriptor >= 0:
            os.utime(self._descriptor)
        self._sent.setdefault(key, set()).add(_instance(name))
        known = self._studies / key
        if self._marks[key] and key not in self._grown and not any(known.glob(f"{_instance(name)}.*")):
            self._grown.add(key)

    def is_excused(self) -> bool:
        """Whether all that it brought came again by another way, wholly, while nothing more was heard of this one."""
        # It may be closed at this moment.
        with contextlib.suppress(OSError):
            heard = self._heard()
            return bool(self._marks) and all(
                self._interruptions.excuses(self.id, key, heard) for key in list(self._marks)
            )
        return False

    @property
    def studies(self) -> int:
        """How many studies this association has sent images of."""
        return len(self._marks)

    def close(self, *, released: bool) -> None:
        """End the association for everybody who looks. Calling it twice does no harm.

        Args:
            released: Whether the sender said that it had finished (A-RELEASE). It then takes back the marks that its
                studies carried when it began to send them, of those that it brought something new of, or sent wholly;
                one image sent again finishes nothing. What it sent wholly is spoiled by no other sender that is
                silent since then. Else its file stays behind as evidence, without its lock.

        Raises:
            OSError: The disk is broken.
        """
        if self._descriptor < 0:
            return
        try:
            if released:
                for key, token in self._marks.items():
                    self._heal(key, token)
            if released or not self._marks:
                self._path.unlink(missing_ok=True)
                sync_folder(self._folder)
                self._interruptions.forget(self.id)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _heal(self, key: str, token: str) -> None:
        """Take back what others left unfinished of a study before this one began it, where this one has finished it."""
        silent = self._silent(key)
        if not (token or silent or key in self._interruptions):
            return
        # After looking at the others: an image of theirs that is not seen here was heard of since.
        whole = self._sent_all(key)
        if token and (whole or key in self._grown):
            self._interruptions.clear(key, token)
        if whole:
            self._interruptions.clear_before(key, self._begun[key])
            for association, heard in silent.items():
                self._interruptions.excuse(association, key, heard)

    def _silent(self, key: str) -> dict[str, int]:
        """Other associations that send a study and are silent since this one began it; when they were last heard of."""
        found = {}
        for path in self._folder.iterdir():
            if path.name != self.id and not path.name.startswith(_NEW):
                with contextlib.suppress(FileNotFoundError):
                    heard = path.stat().st_mtime_ns
                    if heard < self._begun[key] and key in _read(path)[1]:
                        found[path.name] = heard
        return found

    def _heard(self) -> int:
        return os.fstat(self._descriptor).st_mtime_ns

    def _sent_all(self, key: str) -> bool:
        return self._sent.get(key, set()) >= {_instance(path.name) for path in (self._studies / key).glob("*.dcm")}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(released=kind is None)


def _instance(name: str) -> str:
    """Hash of the SOP Instance UID in the name of a spooled file."""
    return name.partition(".")[0]


def living(folder: Path, interruptions: Interruptions) -> Counter[str]:
    """Count the living associations of every study, and mark what dead ones left unfinished.

    Returns:
        Study key → number of associations that are still sending it. A study that is not counted any more because its
        association died is marked before this returns; where the mark cannot be written it still counts, and the next
        look tries again.
    """
    counts: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.name.startswith(_NEW):
            continue
        alive, keys = _read(path)
        if alive or not _bury(path, interruptions):
            counts.update(keys)
    return counts


def is_alive(folder: Path, identifier: str) -> bool:
    """Whether that association's process still holds its lock."""
    return _read(folder / identifier)[0]


def sweep(folder: Path) -> None:
    """Remove files whose sender died between creating and renaming them. For a listener's start."""
    for path in folder.glob(f"{_NEW}*"):
        if not _read(path)[0]:
            path.unlink(missing_ok=True)


def _bury(path: Path, interruptions: Interruptions) -> bool:
    """Turn the file of a dead association into marks, in one process only: a second mark could come too late.

    Returns:
        Whether that is done; False where the disk is full or broken.
    """
    try:
        with interruptions.alone():
            # Gone where another process was here before.
            if path.exists():
                heard = path.stat().st_mtime_ns
                for key in sorted(_read(path)[1]):
                    if not interruptions.excuses(path.name, key, heard):
                        interruptions.mark(key, heard)
                path.unlink(missing_ok=True)
                interruptions.forget(path.name)
    except OSError as error:
        _log.error("interruption_not_marked", errno=error.errno, problem=error.strerror)
        return False
    return True


def _read(path: Path) -> tuple[bool, frozenset[str]]:
    """Whether an association lives, and the studies it was sending; none for one that was released."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, frozenset()
    try:
        alive = not _is_free(descriptor)
        state = os.fstat(descriptor)
        # Removed before its lock was freed: released between our opening and our looking.
        if not alive and state.st_nlink == 0:
            return False, frozenset()
        lines = os.read(descriptor, state.st_size).decode("ascii", "replace").split("\n")
        return alive, frozenset(line for line in lines if len(line) == KEY_LENGTH)
    finally:
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    try:
        # Shared: two readers that look at once do not take each other for the sender.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
