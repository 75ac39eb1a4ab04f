"""Where the workflow meets what may break or hang: unexpected errors become words, waiting gets a limit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread
from typing import TypeVar

import structlog

from app.errors import AppError, TookTooLong, Unexpected, location

log = structlog.get_logger()
T = TypeVar("T")
GLANCE_S = 0.5


class Stopped(BaseException):
    """The worker stops: the step is left as it is, unrecorded, for recovery at the next start.

    Not an `Exception`, so that nobody on the way takes it for the outcome of the step.
    """


def bounded(work: Callable[[], T], timeout_s: float, stopping: Event) -> T:
    """Run `work` in a thread of its own and wait for it.

    A thread cannot be killed: work that runs over its time is left alone and its answer is dropped.

    Raises:
        TookTooLong: It took longer than `timeout_s`.
        Stopped: `stopping` was set first.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  handed to the waiting thread, whatever it is
            errors.append(error)
        finally:
            done.set()

    # With the context of the caller: its log lines name the study.
    Thread(target=copy_context().run, args=(run,), name="bounded", daemon=True).start()
    deadline = time.monotonic() + timeout_s
    while not done.wait(min(GLANCE_S, max(0.0, deadline - time.monotonic()))):
        if stopping.is_set():
            raise Stopped
        if time.monotonic() >= deadline:
            raise TookTooLong(f"the analysis took longer than inference.timeout_s ({timeout_s:g} s)")
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def edge(doing: str) -> Iterator[None]:
    """Turn what nobody expected into `Unexpected`, at the edge of a step.

    The database and the documents get neither message nor traceback: both may quote what stood in a header.

    Raises:
        Unexpected: In the place of an unexpected error; an `AppError` passes.
    """
    try:
        yield
    except AppError:
        raise
    except Exception as error:
        kind = type(error).__name__
        log.error("step_broke", doing=doing, error=kind, at=location(error))  # noqa: TRY400  a traceback shows values
        raise Unexpected(f"the service broke while {doing} ({kind}); the log says where") from error
