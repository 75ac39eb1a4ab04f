"""Every container killed during work, while a scanner sends: afterwards all is there, once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.compose.conftest import MakeStudies
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner, Study
from tests.compose.stack import Stack

SERVICES = ("listener", "worker", "web", "database")
STUDIES = 6


@contextmanager
def sending(scanner: Scanner, ledger: Ledger, studies: Sequence[Study]) -> Iterator["Future[None]"]:
    """Send one study after the other meanwhile; in the end all were taken."""

    def send() -> None:
        for study in studies:
            scanner.send(study)
            ledger.add(study)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(send)
        yield done
        done.result()


@pytest.mark.parametrize("service", SERVICES)
def test_a_crash_during_work(stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies, service: str) -> None:
    """Nobody helps: the restart policy alone brings it back."""
    studies = fresh(STUDIES)
    with sending(scanner, ledger, studies):
        stack.until(lambda: len(scanner.attempts) >= STUDIES // 2, "some studies to be sent")
        stack.crash(service)
    stack.await_health()
    ledger.await_all()


def test_docker_kill_of_each_container_in_turn(
    stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies
) -> None:
    studies = fresh(STUDIES * 2)
    with sending(scanner, ledger, studies) as done:
        for service in SERVICES:
            before = len(scanner.attempts)
            stack.until(lambda: len(scanner.attempts) > before or done.done(), "something to be sent")  # noqa: B023
            stack.kill(service)
            stack.until(lambda: len(scanner.attempts) > before + 1 or done.done(), "another try")  # noqa: B023
            stack.start(service)
            stack.await_health()
    ledger.await_all()
