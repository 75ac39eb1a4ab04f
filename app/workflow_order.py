"""Revisions of one study reach a destination in their order, over all workers of the host.

A revision writes down what it ships before it sends anything. An older one looks for that while it holds the lock of
its own sendings, and lets the lock go after the destination's answer. The newer one, before it sends, waits until
nobody holds the locks of the older ones. So either the older one sees what is coming and stays, or its document is
there before the newer one leaves; the kernel frees the lock of a killed worker.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
    with _lock(results / known.key, _name(destination), fcntl.LOCK_SH, create=True):
        family = revisions.others(results, known.key)
        _wait_for(results, [each for each in family if revisions.is_newer(known, each)], destination)
        yield family


@contextmanager
def delivering(folder: Path, document: str, destination: str) -> Iterator[bool]:
    """Hold the delivery of one document, so that it is sent once even where two workers believe it is theirs: one that
    was taken for dead goes on when its machine wakes up. The lock dies with its process.

    Yields:
        Whether it is ours; False where another worker is sending the document at this moment.

    Raises:
        Retryable: The folder of results cannot be written.
    """
    name = f".delivering-{uid_hash(f'{document} {destination}')[:16]}"
    with ExitStack() as held:
        try:
            held.enter_context(_lock(folder, name, fcntl.LOCK_EX | fcntl.LOCK_NB, create=True))
        except BlockingIOError:
            yield False
            return
        yield True


def _wait_for(results: Path, older: Sequence[StudyOutcome], destination: str) -> None:
    for each in older:
        # Without a file nobody has begun to send it; whoever begins now sees what we have written down.
        with suppress(FileNotFoundError), _lock(results / each.key, _name(destination), fcntl.LOCK_EX, create=False):
            pass


def _name(destination: str) -> str:
    return f".sending-{uid_hash(destination)[:8]}"


@contextmanager
def _lock(folder: Path, name: str, operation: int, *, create: bool) -> Iterator[None]:
    path = folder / name
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
