"""Files that are whole or not there, a walk in a fixed order, and work spread over processes in order."""

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; synced and renamed at the end, removed after an error (a full disk)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def walk(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder`, sorted by name within each folder; hidden files and folders are left out."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        if name.startswith("."):
            continue
        if is_folder:
            yield from walk(folder / name)
        else:
            yield folder / name


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    at_start: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Map over processes, results in the order of the items; only a few items are in flight, so memory stays flat.

    Args:
        function: A picklable function.
        items: Taken as needed.
        workers: Processes; 0 works in this one.
        at_start: Called once in each process that is started, never in this one; picklable.
    """
    if workers < 1:
        yield from map(function, items)
        return
    # Not fork: torch's and Arrow's threads do not survive it.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=at_start)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
