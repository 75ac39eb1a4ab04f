"""What the world around the service does wrong: a full disk, a PACS that is down or refuses, a wrong start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app.__main__ import main
from app.demo.pacs import Faults, Pacs
from app.outcomes import State, StudyOutcome, study
from tests.e2e.conftest import ROOT, SCANNER, Service, installed
from tests.integration.receive.dcmtk import echo, free_port
from tests.integration.workflow.tiny import ct_slices, write_bundle, write_files

pytestmark = [pytest.mark.debian, pytest.mark.timeout(200)]

NO_ROOM_MB = 10**9


def peer(name: str, port: int, attempts: int) -> dict[str, object]:
    base = {"name": name, "host": "127.0.0.1", "port": port, "ae_title": "PACS", "documents": ["sr"]}
    return {**base, "attempts": attempts, "backoff_s": 0.1, "timeout_s": 2}


def change(service: Service, section: str, **values: object) -> None:
    raw = yaml.safe_load(service.config.read_text())
    raw[section].update(values)
    service.config.write_text(yaml.safe_dump(raw))


def test_a_full_disk_refuses_and_recovers_and_bad_destinations_are_told(tmp_path: Path) -> None:
    """A disk below its mark, then three destinations: one works, one is down, one refuses; then replay."""
    write_bundle(tmp_path / "bundles")
    slices = ct_slices()
    write_files(tmp_path / "in", slices)
    files = sorted((tmp_path / "in").iterdir())
    uid = slices[0].StudyInstanceUID
    down = free_port()
    with (
        Pacs(tmp_path / "good") as good,
        Pacs(tmp_path / "refusing", faults=Faults(reject="permanent")) as refusing,
        installed(
            tmp_path,
            bundles={"folder": str(tmp_path / "bundles")},
            destinations=[peer("good", good.port, 3), peer("down", down, 2), peer("refusing", refusing.port, 3)],
        ) as service,
    ):
        service.start()
        change(service, "spool", min_free_mb=NO_ROOM_MB)
        restart_listener(service)
        assert set(service.send(files).statuses) == {0xA700}
        assert study(service.settings, uid) is None
        change(service, "spool", min_free_mb=1)
        restart_listener(service)
        assert set(service.send(files).statuses) == {0}
        outcome = service.outcome(uid)
        assert outcome.state is State.UNDELIVERED
        assert told(outcome) == {"good": (True, 1), "down": (False, 2), "refusing": (False, 1)}
        assert len(good.arrived) == 1
        assert service.stop() == 0
        with Pacs(tmp_path / "late", port=down) as late:
            with pytest.raises(SystemExit) as replayed:
                main(["replay", uid, "--destination", "down", "--config", str(service.config)])
            assert (replayed.value.code, len(late.arrived)) == (0, 1)
        assert told(study(service.settings, uid))["down"] == (True, 3)


def told(outcome: StudyOutcome | None) -> dict[str, tuple[bool, int]]:
    assert outcome
    return {receipt.destination: (receipt.delivered, receipt.attempts) for receipt in outcome.receipts}


def restart_listener(service: Service) -> None:
    """Let it crash: the tree starts it again, and it reads the settings anew."""
    before = service.child("listener")
    os.kill(before, signal.SIGKILL)
    service.until(lambda: service.child("listener") != before, "the next listener")
    service.until(lambda: echo(service.settings.listener.port, calling_ae=SCANNER), "the port")


def test_a_port_that_is_held_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundles")
    with Pacs(tmp_path / "holder") as holder, installed(tmp_path, bundles={"folder": str(tmp_path / "bundles")}) as one:
        change(one, "listener", port=holder.port)
        command = [sys.executable, "-m", "app", "serve", "--config", str(one.config)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr
    assert "Traceback" not in done.stderr
