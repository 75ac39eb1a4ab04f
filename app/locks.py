"""Locks in the run folder (flock): they end with the process that holds them, also after kill -9."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import Failed

IN_USE = "in-use.lock"


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Try to be the only one with this lock; whether that is so.

    Raises:
        OSError: The folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextmanager
def in_use(run: Path) -> Iterator[None]:
    """Say that a process works with this installation: `restore` then refuses to put other data in its place.

    Any number of them may say so at once.

    Raises:
        Failed: The folder cannot be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(run / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failed(f"the run folder {run.absolute()} cannot be written ({error.strerror}); set `run`") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
