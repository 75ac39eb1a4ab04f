"""Folders as the spool needs them: durable names, and locks that die with their process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path, operation: int) -> Iterator[int]:
    """Hold a folder's lock, shared or alone; yields the folder's descriptor.

    Args:
        folder: Must exist.
        operation: Of `fcntl.flock`.

    Raises:
        FileNotFoundError: There is no such folder.
        BlockingIOError: Somebody else holds the lock, and `operation` says not to wait.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)
