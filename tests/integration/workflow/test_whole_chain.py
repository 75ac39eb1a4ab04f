"""dcmtk's storescu, a listener process, a worker, a stand-in PACS; and a listener that dies."""

import time
from pathlib import Path

import pytest

from app.demo.pacs import Faults, Pacs
from app.findings import Outcome, Presence
from app.outcomes import State
from app.study import BROKEN_OFF
from tests.integration.receive.dcmtk import listener, parse, send, sending
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.test_recovery import running
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_files

pytestmark = [pytest.mark.debian, pytest.mark.timeout(240)]
SLICES = 150


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The chain does not depend on the kind of database."""
    return f"sqlite:///{tmp_path}/workflow.sqlite"


def test_a_listener_killed_during_a_transfer_loses_nothing_and_the_study_yields_one_sr(
    installation: Installation, pacs: Pacs, tmp_path: Path
) -> None:
    write_files(tmp_path / "images", ct_slices(slices=SLICES))
    files = sorted((tmp_path / "images").iterdir())
    installation.overrides["assembly"] = {"idle_s": 8}
    with installation.worker():
        with listener(tmp_path) as first, sending(first.port, files) as (sender, log):
            studies = first.spool / "studies"
            while len(list(studies.glob("*/*.dcm"))) < SLICES // 4:
                assert sender.poll() is None
                time.sleep(0.005)
            first.kill()
            sender.wait(30)
            acknowledged = sum(answer.status == 0 for answer in parse(log.read_text("utf-8", "replace")))
        # The last image on disk need not have been answered yet.
        assert 0 < acknowledged < SLICES
        assert len(list(studies.glob("*/*.dcm"))) >= acknowledged
        with listener(tmp_path) as second:
            assert send(second.port, files).statuses == (0,) * SLICES
            (outcome,) = installation.wait_final()
    assert (outcome.state, len(outcome.files)) == (State.DELIVERED, SLICES)
    assert len(pacs.arrived) == 1


@pytest.mark.parametrize("moment", ["outcome.json", "*.sr.dcm", "brightness*.json"])
def test_a_worker_killed_at_any_moment_yields_one_sr(installation: Installation, tmp_path: Path, moment: str) -> None:
    """Killed as soon as a file appears: after the begin, and around encoding and delivery, which hangs at the PACS."""
    with Pacs(tmp_path / "pacs", faults=Faults(hang_s=0.5)) as pacs:
        installation.destination(pacs)
        send_to_spool(installation.spool(), ct_slices())
        with running(installation.start_process()) as worker:
            while not list(installation.settings.results.glob(f"*/{moment}")):
                assert worker.poll() is None
                time.sleep(0.002)
            worker.kill()
        with running(installation.start_process()):
            (outcome,) = installation.wait_final()
            (sr,) = (document for document in outcome.documents if document.kind == "sr")
            assert outcome.state is State.DELIVERED
        assert {each.sop_instance_uid for each in pacs.arrived} == {sr.sop_instance_uid}
        assert len(list((tmp_path / "pacs").iterdir())) == 1


def test_a_sender_killed_in_the_middle_is_answered_undetermined_and_absent_once_it_came_back(
    installation: Installation, pacs: Pacs, tmp_path: Path
) -> None:
    """A study without the finding: what came of it before the sender died must not be called normal."""
    write_files(tmp_path / "images", ct_slices(slices=SLICES, hu=-100))
    files = sorted((tmp_path / "images").iterdir())
    installation.overrides["assembly"] = {"idle_s": 0.2, "interrupted_s": 2}
    with installation.worker(), listener(tmp_path) as running_listener:
        studies = running_listener.spool / "studies"
        with sending(running_listener.port, files) as (sender, _):
            while len(list(studies.glob("*/*.dcm"))) < 10:
                assert sender.poll() is None
                time.sleep(0.005)
            sender.kill()
        (part,) = installation.wait_final()
        assert send(running_listener.port, files).statuses == (0,) * SLICES
        whole, _ = installation.wait_final(2)
    assert 10 <= len(part.files) < SLICES
    assert BROKEN_OFF in part.notes
    assert [(report.outcome, report.reason) for report in part.reports] == [(Outcome.PARTIAL, BROKEN_OFF)]
    assert [finding.presence for finding in part.reports[0].findings] == [Presence.UNDETERMINED]
    assert (len(whole.files), whole.notes) == (SLICES, ())
    assert [finding.presence for finding in whole.reports[0].findings] == [Presence.ABSENT]
    assert len(pacs.arrived) == 2
