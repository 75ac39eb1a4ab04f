"""Which associations live: one locked file each, naming the studies they have sent images of.

The lock (flock) belongs to the process, so that an association ends with it even after kill -9: a lock that can be
taken means a dead sender.
"""

import fcntl
import os
import uuid
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

KEY_LENGTH = 32
_NEW = ".new-"


class Presence:
    """One living association, from the first C-STORE to release, abort or the death of its process."""

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self._path = folder / self.id
        self._keys: set[str] = set()
        # Locked under a name nobody looks at, then renamed: a reader never meets a file that is not locked yet.
        new = folder / f"{_NEW}{self.id}"
        self._descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        new.rename(self._path)

    def announce(self, key: str) -> None:
        """Name a study that this association sends. Comes before its first image can be seen."""
        if key not in self._keys:
            os.write(self._descriptor, f"{key}\n".encode())
            self._keys.add(key)

    @property
    def studies(self) -> int:
        """How many studies this association has sent images of."""
        return len(self._keys)

    def close(self) -> None:
        """End the association for everybody who looks. Calling it twice does no harm."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def living(folder: Path) -> Counter[str]:
    """Count the living associations of every study, and remove what dead ones left behind.

    Returns:
        Study key → number of associations that are still sending it.
    """
    counts: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.name.startswith(_NEW):
            continue
        keys = _keys_if_alive(path)
        if keys is None:
            path.unlink(missing_ok=True)
        counts.update(keys or ())
    return counts


def is_alive(folder: Path, identifier: str) -> bool:
    """Whether that association's process still holds its lock."""
    return _keys_if_alive(folder / identifier) is not None


def sweep(folder: Path) -> None:
    """Remove files whose sender died between creating and renaming them. For a listener's start."""
    for path in folder.glob(f"{_NEW}*"):
        if _keys_if_alive(path) is None:
            path.unlink(missing_ok=True)


def _keys_if_alive(path: Path) -> set[str] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared: two readers that look at once do not take each other for the sender.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        lines = os.read(descriptor, os.fstat(descriptor).st_size).decode("ascii").split("\n")
        return {line for line in lines if len(line) == KEY_LENGTH}
    else:
        return None
    finally:
        os.close(descriptor)
