"""The audit trail on disk: one message a line, durable, in files that only grow and are never removed."""

import fcntl
import os
from pathlib import Path
from typing import Final

MEGABYTE: Final = 1 << 20
MODE: Final = 0o640


def append(path: Path, line: str, max_mb: int) -> None:
    """Add a line durably; several processes may.

    Args:
        path: Of the file that grows now.
        line: Without its end.
        max_mb: When the file is larger it is renamed first: "audit.log" to "audit.log.1", the next time to ".2".

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_size >= max_mb * MEGABYTE:
            path.rename(path.with_name(f"{path.name}.{_last(path) + 1}"))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            _write(descriptor, line)
        finally:
            os.close(descriptor)
        _sync(path.parent)


def _write(descriptor: int, line: str) -> None:
    size = os.fstat(descriptor).st_size
    # A line that a full disk or a kill cut off stays what it is; the next one begins on its own.
    cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    content = (b"\n" if cut else b"") + line.encode("utf-8") + b"\n"
    while content:
        content = content[os.write(descriptor, content) :]
    os.fsync(descriptor)


def _last(path: Path) -> int:
    numbers = (each.name.removeprefix(f"{path.name}.") for each in path.parent.glob(f"{path.name}.*"))
    return max((int(number) for number in numbers if number.isascii() and number.isdigit()), default=0)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
