"""dcmtk's storescu, a listener process, a worker, a stand-in PACS; and a listener that dies."""

import time
from pathlib import Path

import pytest

from app.demo.pacs import Pacs
from app.outcomes import State
from tests.integration.receive.dcmtk import listener, parse, send, sending
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import ct_slices, write_files

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
        assert SLICES // 4 <= acknowledged < SLICES
        assert len(list(studies.glob("*/*.dcm"))) >= acknowledged
        with listener(tmp_path) as second:
            assert send(second.port, files).statuses == (0,) * SLICES
            (outcome,) = installation.wait_final()
    assert (outcome.state, len(outcome.files)) == (State.DELIVERED, SLICES)
    assert len(pacs.arrived) == 1
