"""What goes wrong is counted under its stage and reason, and every line about it names the study."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.demo.pacs import Faults, Pacs
from app.outcomes import State
from tests.integration.workflow.conftest import Installation, free_port
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/workflow.sqlite"


def start(installation: Installation) -> "subprocess.Popen[bytes]":
    """A worker as the command line makes it, with its log."""
    with (installation.folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "app", "work", "--config", str(installation.write_settings())],
            cwd=Path(__file__).resolve().parents[3],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=log,
        )


def failures(stage: str, reason: str) -> float:
    return REGISTRY.get_sample_value("vigil_failures_total", {"stage": stage, "reason": reason}) or 0.0


def test_failures_count_under_their_stage_and_reason(installation: Installation, pacs: Pacs) -> None:
    assert pacs
    # The brightest wants five slices or more; the broken one takes everything and answers "not a number".
    write_bundle(installation.folder / "bundles", "broken", broken=True)
    write_bundle(installation.folder / "bundles", "picky", min_slices=50)
    before = {key: failures(*key) for key in (("infer", "service"), ("route", "geometry"), ("assemble", "input"))}
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    assert failures("infer", "service") == before["infer", "service"] + 1
    assert failures("route", "geometry") == before["route", "geometry"] + 1
    assert failures("assemble", "input") == before["assemble", "input"]
    for bundle, part in (("brightness", "post"), ("broken", "forward")):
        labels = {"bundle": bundle, "part": part}
        assert (REGISTRY.get_sample_value("vigil_model_seconds_count", labels) or 0) >= 1


def test_every_line_of_a_study_in_trouble_names_it(installation: Installation, tmp_path: Path) -> None:
    """A broken bundle, and a destination that answers, then refuses for a while, then is away."""
    write_bundle(installation.folder / "bundles", "broken", broken=True)
    installation.overrides["log"] = {"format": "json"}
    with Pacs(tmp_path / "pacs", faults=Faults(status=0xA700, times=1)) as peer:
        installation.destination(peer)
        installation.destination(peer, name="away", port=free_port(), attempts=2)
        send_to_spool(installation.spool(), ct_slices())
        process = start(installation)
        try:
            (outcome,) = installation.wait_final()
        finally:
            process.terminate()
            process.wait(60)
    lines = [json.loads(line) for line in (tmp_path / "worker.log").read_text().splitlines()]
    # From the beginning of the study to its end the worker has nothing else to do.
    events = [line["event"] for line in lines]
    life = lines[events.index("study_begun") : events.index("study_finished") + 1]
    about_all = {"destination_left_alone", "destination_answers_again"}
    without = [line for line in life if line.get("study") != outcome.key[:12] and line["event"] not in about_all]
    assert without == []
    told = {line["event"] for line in life}
    assert {"analysis_failed", "delivery_retried", "document_sent", "dead_letter", "stage_ended"} <= told
    assert {line["failed"] for line in life if "failed" in line} == {"service"}
