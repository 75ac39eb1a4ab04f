"""A worker is killed with -9; after a restart, or by another worker, each study still yields exactly one SR."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.demo.pacs import Pacs
from app.findings import Outcome
from app.outcomes import State
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

pytestmark = pytest.mark.timeout(900)


@contextmanager
def running(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def wait_for_lines(path: Path, number: int, timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while not (path.exists() and len(path.read_text().splitlines()) >= number):
        assert time.monotonic() < deadline, f"{path} has not {number} lines"
        time.sleep(0.02)


@pytest.fixture
def begun(installation: Installation) -> Path:
    """A bundle whose forward pass writes down that it began, and takes its time."""
    path = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "slow", delay_s=2, begun=path)
    installation.overrides["bundles"] = {"enabled": ["slow"]}
    return path


def test_killed_during_inference_a_restarted_worker_gives_one_sr(
    installation: Installation, pacs: Pacs, begun: Path
) -> None:
    for _ in range(2):
        send_to_spool(installation.spool(), ct_slices())
    with running(installation.start_process()) as first:
        wait_for_lines(begun, 1)
        os.kill(first.pid, signal.SIGKILL)
    assert pacs.arrived == ()
    with running(installation.start_process()) as second:
        found = installation.wait_final(2)
        second.terminate()
        assert second.wait(30) == 0
    assert [each.state for each in found] == [State.DELIVERED] * 2
    wanted = sorted(document.sop_instance_uid for each in found for document in each.documents if document.kind == "sr")
    assert sorted(each.sop_instance_uid for each in pacs.arrived) == wanted
    assert len(begun.read_text().splitlines()) == 3


def test_another_worker_takes_over_from_a_dead_one(installation: Installation, pacs: Pacs, begun: Path) -> None:
    send_to_spool(installation.spool(), ct_slices())
    installation.overrides["worker"] = {"id": "first", "heartbeat_s": 0.5, "takeover_s": 3}
    first_settings = installation.write_settings("first.yaml")
    installation.overrides["worker"] = {"id": "second", "heartbeat_s": 0.5, "takeover_s": 3}
    second_settings = installation.write_settings("second.yaml")
    with running(installation.start_process(first_settings)) as first:
        wait_for_lines(begun, 1)
        with running(installation.start_process(second_settings)):
            os.kill(first.pid, signal.SIGKILL)
            (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    assert len(pacs.arrived) == 1


def test_a_study_that_kills_its_worker_again_and_again_ends_undetermined(
    installation: Installation, pacs: Pacs
) -> None:
    root = write_bundle(installation.folder / "bundles", "deadly")
    script = root / "scripts" / "mean.py"
    script.write_text(script.read_text().replace("time.sleep(self.delay_s)", "os.kill(os.getpid(), 9)"))
    installation.overrides["bundles"] = {"enabled": ["deadly"]}
    send_to_spool(installation.spool(), ct_slices())
    for _ in range(3):
        with running(installation.start_process()) as worker:
            assert worker.wait(90) == -signal.SIGKILL
    with running(installation.start_process()):
        (outcome,) = installation.wait_final()
    (report,) = outcome.reports
    assert report.outcome is Outcome.FAILED
    assert "died 3 times" in report.reason
    assert len(pacs.arrived) == 1


def test_sigterm_lets_the_running_study_finish(installation: Installation, pacs: Pacs, begun: Path) -> None:
    send_to_spool(installation.spool(), ct_slices())
    with running(installation.start_process()) as worker:
        wait_for_lines(begun, 1)
        worker.terminate()
        assert worker.wait(40) == 0
    assert len(pacs.arrived) == 1
    assert [each.state for each in installation.outcomes()] == [State.DELIVERED]
