"""Revisions of one study reach a destination in their order, over all workers of the host.

A revision writes down what it ships before it sends anything. An older one looks for that while it holds the lock of
its own sendings, and lets the lock go after the destination's answer. The newer one, before it sends, waits until
nobody holds the locks of the older ones. So either the older one sees what is coming and stays, or its document is
there before the newer one leaves; the kernel frees the lock of a killed worker.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app import revisions
from app.errors import Retryable
from app.outcomes import StudyOutcome
from app.study import uid_hash


@contextmanager
def sending(results: Path, known: StudyOutcome, destination: str) -> Iterator[tuple[StudyOutcome, ...]]:
    """Hold a revision's place in the order of its study at one destination, to look once more and then to send.

    Waits, at most for the time-outs of the destination, for older revisions that are being sent at this moment. Only
    ever the newer waits for the older, so that no two wait for each other.

    Yields:
        The other revisions of the study, the newest first, as they are while the place is held.

    Raises:
        Retryable: The folder of results cannot be written.
    """
    with _lock(results / known.key, destination, fcntl.LOCK_SH, create=True):
        family = revisions.others(results, known.key)
        _wait_for(results, [each for each in family if revisions.is_newer(known, each)], destination)
        yield family


def _wait_for(results: Path, older: Sequence[StudyOutcome], destination: str) -> None:
    for each in older:
        # Without a file nobody has begun to send it; whoever begins now sees what we have written down.
        with suppress(FileNotFoundError), _lock(results / each.key, destination, fcntl.LOCK_EX, create=False):
            pass


@contextmanager
def _lock(folder: Path, destination: str, operation: int, *, create: bool) -> Iterator[None]:
    path = folder / f".sending-{uid_hash(destination)[:8]}"
    try:
        file = path.open("a" if create else "r")
    except FileNotFoundError:
        if not create:
            raise
        raise Retryable(f"{folder} is missing; send the study again") from None
    except OSError as error:
        raise Retryable(f"{folder}: {error.strerror}; give write access to the folder of results") from error
    with file:
        fcntl.flock(file, operation)
        yield
