"""A file that this process may not read, whoever runs the tests."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

USER_OF_CONTAINERS = 10001


@contextlib.contextmanager
def unreadable(file: Path) -> Iterator[None]:
    """Take our right to read a file, for a while. Root reads everything, and is somebody else meanwhile."""
    mode = file.stat().st_mode
    file.chmod(0o600 if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        os.seteuid(USER_OF_CONTAINERS)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        file.chmod(mode)
