"""Which associations live: one locked file each, naming the studies they have sent images of.

The lock (flock) belongs to the process, so that an association ends with it even after kill -9: a lock that can be
taken means a dead sender. An association that is released removes its file first; one that ends in any other way leaves
it, and whoever meets it without its lock turns it into marks of interruption (`interruptions`).

Its time of change says when the sender was last heard of: an image was begun, went on (about every second) or was
placed. Besides keys of studies it names images that were cut off, in lines of "study image".
"""

import contextlib
import fcntl
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import structlog

from app.receive.dataset import Identity
from app.receive.folders import sync_folder
from app.receive.incoming import identity_of
from app.receive.interruptions import Interruptions

KEY_LENGTH = 32
_NEW = ".new-"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Folders:
    """Those of a spool that tell of senders.

    Attributes:
        associations: Of the presences.
        studies: Of the studies.
        incoming: Of what is half received, by the name of its association.
    """

    associations: Path
    studies: Path
    incoming: Path

    def there(self, key: str) -> frozenset[str]:
        """Hashes of the SOP Instance UIDs of all images of a study."""
        return frozenset(_instance(path.name) for path in (self.studies / key).glob("*.dcm"))


class Presence:
    """One living association, from the first C-STORE to release, abort or the death of its process.

    Args:
        folders: Of the spool.
        interruptions: What a release takes back.
    """

    def __init__(self, folders: Folders, interruptions: Interruptions) -> None:
        self.id = uuid.uuid4().hex
        self._folders = folders
        self._folder = folder = folders.associations
        self._path = folder / self.id
        self._interruptions = interruptions
        self._lock = threading.RLock()
        self._marks: dict[str, str] = {}
        self._begun: dict[str, int] = {}
        self._sent: dict[str, set[str]] = {}
        self._grown: set[str] = set()
        self._halves: dict[str, set[str]] = {}
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
            self.hear()
            return
        os.write(self._descriptor, f"{key}\n".encode())
        # The evidence, if the machine goes down before the sender has finished.
        os.fsync(self._descriptor)
        sync_folder(self._folder)
        self._begun[key] = self._heard()
        self._marks[key] = self._interruptions.token(key)

    def sends(self, key: str, name: str) -> None:
        """Note an image of an announced study, by the name of its file. Comes before the file is there."""
        self.hear()
        self._sent.setdefault(key, set()).add(_instance(name))
        known = self._folders.studies / key
        if self._marks[key] and key not in self._grown and not any(known.glob(f"{_instance(name)}.*")):
            self._grown.add(key)

    def hear(self, at: int | None = None) -> None:
        """Note that this association was heard of; see `interruptions`.

        Args:
            at: When, Unix time in ns; None is now. Nothing that was heard later is forgotten.

        Raises:
            OSError: The disk is broken.
        """
        with self._lock:
            if self._descriptor < 0:
                return
            if at is None:
                os.utime(self._descriptor)
            elif at > self._heard():
                os.utime(self._descriptor, ns=(at, at))

    def cut_off(self, key: str, instance: str, heard: int) -> None:
        """Name an image that did not come to its end, durably: until it comes, nobody has sent this study wholly.

        Args:
            key: Of its study.
            instance: Hash of its SOP Instance UID.
            heard: When its last bytes came, Unix time in ns; who names it now may only have waited since.

        Raises:
            OSError: The disk is full or broken.
        """
        with self._lock:
            last = max(self._heard(), heard)
            self.announce(key)
            os.write(self._descriptor, f"{key} {instance}\n".encode())
            os.fsync(self._descriptor)
            os.utime(self._descriptor, ns=(last, last))
            self._halves.setdefault(key, set()).add(instance)

    def is_excused(self) -> bool:
        """Whether all that it brought came again by another way, wholly, while nothing more was heard of this one."""
        # It may be closed at this moment.
        with contextlib.suppress(OSError):
            heard = self._heard()
            return bool(self._marks) and all(
                self._interruptions.excuses(self.id, key, heard)
                and self._folders.there(key).issuperset(self._halves.get(key, ()))
                for key in list(self._marks)
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
        there = self._folders.there(key)
        whole = self._sent.get(key, set()) >= there
        if token and (whole or key in self._grown):
            self._interruptions.clear(key, token)
        if whole:
            self._interruptions.clear_before(key, self._begun[key], there)
            for association in silent:
                self._interruptions.excuse(association, key, self._begun[key])

    def _silent(self, key: str) -> list[str]:
        """Other associations that send a study and are silent since this one began it."""
        found = []
        for path in self._folder.iterdir():
            if path.name != self.id and not path.name.startswith(_NEW):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime_ns < self._begun[key] and key in _read(path).keys:
                        found.append(path.name)
        return found

    def _heard(self) -> int:
        return os.fstat(self._descriptor).st_mtime_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(released=kind is None)


def _instance(name: str) -> str:
    """Hash of the SOP Instance UID in the name of a spooled file."""
    return name.partition(".")[0]


def living(folders: Folders, interruptions: Interruptions) -> Counter[str]:
    """Count the living associations of every study, and mark what dead ones left unfinished.

    Returns:
        Study key → number of associations that are still sending it. A study that is not counted any more because its
        association died is marked before this returns; where the mark cannot be written it still counts, and the next
        look tries again.
    """
    counts: Counter[str] = Counter()
    for path in folders.associations.iterdir():
        if path.name.startswith(_NEW):
            continue
        evidence = _read(path)
        if evidence.alive or not _bury(path, folders, interruptions):
            counts.update(evidence.keys)
    return counts


def is_alive(folder: Path, identifier: str) -> bool:
    """Whether that association's process still holds its lock."""
    return _read(folder / identifier).alive


def sweep(folder: Path) -> None:
    """Remove files whose sender died between creating and renaming them. For a listener's start."""
    for path in folder.glob(f"{_NEW}*"):
        if not _read(path).alive:
            path.unlink(missing_ok=True)


def _bury(path: Path, folders: Folders, interruptions: Interruptions) -> bool:
    """Turn the file of a dead association into marks, in one process only: a second mark could come too late.

    Returns:
        Whether that is done; False where the disk is full or broken.
    """
    try:
        with interruptions.alone():
            # Gone where another process was here before.
            if path.exists():
                evidence = _read(path)
                # Nobody was left to name what a killed process was receiving.
                left = tuple(_left(folders.incoming, path.name))
                heard = max([path.stat().st_mtime_ns, *(at for at, _ in left)])
                halves = evidence.halves.union(found.hashes for _, found in left if found is not None)
                for key in sorted(evidence.keys):
                    lacking = {half for study, half in halves if study == key} - folders.there(key)
                    if lacking or not interruptions.excuses(path.name, key, heard):
                        interruptions.mark(key, heard, lacking)
                path.unlink(missing_ok=True)
                interruptions.forget(path.name)
    except OSError as error:
        _log.error("interruption_not_marked", errno=error.errno, problem=error.strerror)
        return False
    return True


def _left(incoming: Path, association: str) -> Iterator[tuple[int, Identity | None]]:
    """What a dead sender left half received: when its last bytes came (ns), and what it is, where it tells that."""
    for path in incoming.glob(f"{association}-*"):
        # Another process may have removed it, which has marked its study.
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_mtime_ns, identity_of(path)


class _Evidence(NamedTuple):
    """What the file of an association says: whether it lives, which studies it was sending, and as pairs of study and
    image what was cut off.
    """

    alive: bool = False
    keys: frozenset[str] = frozenset()
    halves: frozenset[tuple[str, str]] = frozenset()


def _read(path: Path) -> _Evidence:
    """Read the file of an association; it says nothing where that was released."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _Evidence()
    try:
        alive = not _is_free(descriptor)
        state = os.fstat(descriptor)
        # Removed before its lock was freed: released between our opening and our looking.
        if not alive and state.st_nlink == 0:
            return _Evidence()
        lines = os.read(descriptor, state.st_size).decode("ascii", "replace").split("\n")
        keys = frozenset(line for line in lines if len(line) == KEY_LENGTH)
        halves = (line.partition(" ") for line in lines if len(line) == 2 * KEY_LENGTH + 1)
        return _Evidence(alive, keys, frozenset((study, half) for study, _, half in halves))
    finally:
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    try:
        # Shared: two readers that look at once do not take each other for the sender.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
