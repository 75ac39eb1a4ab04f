"""While a revision is being sent, a newer one waits; a killed sender holds nobody up. Real processes, real locks."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from contextlib import contextmanager
from pathlib import Path

import pytest

from app import outcomes
from app.errors import Retryable
from app.outcomes import StudyOutcome
from app.workflow_order import sending

STUDY = "a" * 32
OLDER = StudyOutcome(f"{STUDY}-{'0' * 16}", received_at=1, files=("a.1.dcm",))
NEWER = StudyOutcome(f"{STUDY}-{'1' * 16}", received_at=2, files=("a.1.dcm", "b.1.dcm"))
SEND = """
import sys, time
from pathlib import Path
from app import outcomes
from app.workflow_order import sending
results = Path(sys.argv[1])
with sending(results, outcomes.read(results / sys.argv[2]), "pacs"):
    print("sending", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for each in (OLDER, NEWER):
        outcomes.begin(tmp_path, each)
    return tmp_path


@contextmanager
def sender(results: Path, known: StudyOutcome) -> Iterator["subprocess.Popen[bytes]"]:
    """Another worker, in the middle of a C-STORE."""
    command = [sys.executable, "-c", SEND, str(results), known.key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"sending\n"
        try:
            yield process
        finally:
            process.kill()


def send(results: Path, known: StudyOutcome, destination: str = "pacs") -> float:
    with sending(results, known, destination) as family:
        assert {each.key for each in family} == {OLDER.key, NEWER.key} - {known.key}
        return time.monotonic()


@pytest.mark.parametrize("end", ["released", "killed"])
def test_the_newer_waits_until_the_older_has_left(results: Path, end: str) -> None:
    with ThreadPoolExecutor(1) as pool, sender(results, OLDER) as process:
        newer = pool.submit(send, results, NEWER)
        with pytest.raises(StillWaiting):
            newer.result(0.5)
        ended_at = time.monotonic()
        if end == "killed":
            process.send_signal(signal.SIGKILL)
        else:
            assert process.stdin is not None
            process.stdin.close()
        assert newer.result(10) >= ended_at


def test_nobody_else_waits(results: Path) -> None:
    with ThreadPoolExecutor(1) as pool, sender(results, OLDER):
        assert pool.submit(send, results, OLDER).result(10)
        assert pool.submit(send, results, NEWER, "archive").result(10)
    with ThreadPoolExecutor(1) as pool, sender(results, NEWER):
        assert pool.submit(send, results, OLDER).result(10)


def test_a_folder_that_is_gone_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match="send the study again"), sending(tmp_path, OLDER, "pacs"):
        pass
