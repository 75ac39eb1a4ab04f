"""An older worker is killed in the middle of its work; this version loses nothing and does nothing twice."""

import os
import signal
import time
from pathlib import Path

import pytest

from app.demo.pacs import Pacs
from app.outcomes import State, StudyOutcome
from tests.integration.workflow.conftest import Installation, free_port
from tests.integration.workflow.test_recovery import running, wait_for_lines
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

OLDER, NEWER = "4", "999"
pytestmark = pytest.mark.timeout(900)


def sr_uids(found: list[StudyOutcome]) -> list[str]:
    return sorted(each.sop_instance_uid for one in found for each in one.documents if each.kind == "sr")


def arrived(pacs: Pacs) -> list[str]:
    return sorted(each.sop_instance_uid for each in pacs.arrived)


def slow_bundle(installation: Installation, delay_s: float) -> Path:
    begun = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "slow", delay_s=delay_s, begun=begun)
    installation.overrides["bundles"] = {"enabled": ["slow"]}
    return begun


def settings_of(installation: Installation, worker: str) -> Path:
    installation.overrides["worker"] = {"id": worker, "heartbeat_s": 0.5, "takeover_s": 3}
    return installation.write_settings(f"{worker}.yaml")


@pytest.mark.parametrize("after", ["before", "upgraded"])
def test_what_an_older_version_left_is_begun_anew(installation: Installation, pacs: Pacs, after: str) -> None:
    """By the upgraded worker of the same name, or by another: a container has a new name."""
    begun = slow_bundle(installation, 1)
    for _ in range(3):
        send_to_spool(installation.spool(), ct_slices())
    with running(installation.start_process(settings_of(installation, "before"), OLDER)) as old:
        wait_for_lines(begun, 1)
        os.kill(old.pid, signal.SIGKILL)
    assert pacs.arrived == ()
    with running(installation.start_process(settings_of(installation, after))):
        found = installation.wait_final(3)
    assert [each.state for each in found] == [State.DELIVERED] * 3
    assert arrived(pacs) == sr_uids(found)
    assert {len(each.begun) for each in found} == {1}


def test_what_was_sent_stays_sent_and_what_waits_is_sent(installation: Installation, pacs: Pacs) -> None:
    port = free_port()
    late = Pacs(installation.folder / "late", port=port)
    installation.destination(late, name="late", port=port, attempts=100, backoff_s=0.2)
    send_to_spool(installation.spool(), ct_slices())
    with running(installation.start_process(settings_of(installation, "before"), OLDER)) as old:
        (waiting,) = installation.wait(lambda found: any(each.waiting and each.receipts for each in found))
        os.kill(old.pid, signal.SIGKILL)
    files = {each.path.name: each.path.stat().st_mtime_ns for each in waiting.documents}
    with late, running(installation.start_process(settings_of(installation, "upgraded"))):
        (outcome,) = installation.wait_final()
        assert late.wait(lambda objects: len(objects) == 1, 30)
    assert outcome.state is State.DELIVERED
    assert arrived(pacs) == arrived(late) == sr_uids([outcome])
    assert {each.path.name: each.path.stat().st_mtime_ns for each in outcome.documents} == files
    assert len(outcome.begun) == 0


def test_an_older_worker_that_lives_keeps_its_studies(installation: Installation, pacs: Pacs) -> None:
    begun = slow_bundle(installation, 12)
    send_to_spool(installation.spool(), ct_slices())
    with running(installation.start_process(settings_of(installation, "before"), OLDER)):
        wait_for_lines(begun, 1)
        with running(installation.start_process(settings_of(installation, "upgraded"))):
            (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    assert len(begun.read_text().splitlines()) == 1
    assert arrived(pacs) == sr_uids([outcome])


def test_work_of_a_newer_version_is_left_to_it(installation: Installation, pacs: Pacs) -> None:
    """An older program is started by mistake: it says so, and touches nothing."""
    begun = slow_bundle(installation, 1)
    send_to_spool(installation.spool(), ct_slices())
    with running(installation.start_process(settings_of(installation, "newer"), NEWER)) as newer:
        wait_for_lines(begun, 1)
        os.kill(newer.pid, signal.SIGKILL)
    with running(installation.start_process(settings_of(installation, "mistake"))):
        log, deadline = installation.folder / "worker.log", time.monotonic() + 240
        while "newer_work_left" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert [each.state for each in installation.outcomes()] == [State.PROCESSING]
    with running(installation.start_process(settings_of(installation, "newer"), NEWER)):
        (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    assert arrived(pacs) == sr_uids([outcome])
