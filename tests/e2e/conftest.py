"""The whole service as it runs for people: `python -m app serve`, real senders, a real PACS."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import yaml
from pydicom import Dataset, dcmread

from app import outcomes
from app.cli.serve import READY, ask_health
from app.outcomes import FINAL, StudyOutcome
from app.settings import Settings, load
from tests.integration.deliver.conftest import Orthanc, orthanc
from tests.integration.receive.dcmtk import Sent, free_port, send

__all__ = ["orthanc"]

ROOT = Path(__file__).resolve().parents[2]
SCANNER = "SCANNER"
PATIENCE_S = 120.0
START_S = 400.0


@dataclass
class Service:
    """One installation below a folder, and its process tree."""

    folder: Path
    config: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        return load(self.config, {})

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.http.port}"

    @property
    def log(self) -> str:
        return (self.folder / "service.log").read_text()

    def start(self) -> None:
        """Start the tree and wait for its ready line."""
        with (self.folder / "service.log").open("ab") as log, (self.folder / "service.out").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--config", str(self.config)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=out,
                stderr=log,
            )
        self.until(lambda: READY in (self.folder / "service.out").read_text(), "ready", START_S)

    def stop(self) -> int:
        """Stop the tree as an operator does; its exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def child(self, name: str) -> int:
        """The process of a part as the log tells it, the newest."""
        lines = [line for line in self.log.splitlines() if "child_started" in line]
        found = [json.loads(line) for line in lines]
        return int([each["pid"] for each in found if each["child"] == name][-1])

    def send(self, files: Sequence[Path], calling_ae: str = SCANNER) -> Sent:
        """Send with dcmtk's storescu."""
        return send(self.settings.listener.port, files, calling_ae=calling_ae)

    def outcome(self, uid: str, patience_s: float = PATIENCE_S) -> StudyOutcome:
        """What became of a study, when it is finished."""

        def finished() -> bool:
            found = outcomes.study(self.settings, uid)
            return found is not None and found.state in FINAL

        self.until(finished, f"the end of study {uid}", patience_s)
        found = outcomes.study(self.settings, uid)
        assert found
        return found

    def until(self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            assert self.process
            assert self.process.poll() is None, f"the service ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"waited in vain for {what}; health: {ask_health(self.address)}"
            time.sleep(0.05)


@contextmanager
def installed(folder: Path, **sections: object) -> Iterator[Service]:
    """An installation that is not started yet; `sections` go into its settings."""
    raw: dict[str, object] = {
        "listener": {"host": "127.0.0.1", "port": free_port(), "peers": [{"ae_title": SCANNER}]},
        "spool": {"folder": str(folder / "spool"), "min_free_mb": 1},
        "assembly": {"idle_s": 0.5, "poll_s": 0.05},
        "inference": {"device": "cpu", "threads": 1},
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite", "poll_s": 0.05},
        "worker": {"heartbeat_s": 0.5, "takeover_s": 5},
        "http": {"port": free_port()},
        "log": {"format": "json"},
        "results": str(folder / "results"),
        "run": str(folder / "run"),
    }
    raw.update(sections)
    config = folder / "vigil.yaml"
    config.write_text(yaml.safe_dump(raw))
    service = Service(folder, config)
    try:
        yield service
    finally:
        service.end()


def destination(peer: Orthanc, **changes: object) -> Mapping[str, object]:
    """Orthanc as a destination in the settings."""
    return {"name": "pacs", "host": "127.0.0.1", "port": peer.dicom_port, "ae_title": "ORTHANC", **changes}


def documents(peer: Orthanc, study_uid: str, modality: str) -> list[Dataset]:
    """What the PACS keeps of a study in one modality."""
    found = [dcmread(BytesIO(content)) for content in peer.instances()]
    return [each for each in found if (each.StudyInstanceUID, each.Modality) == (study_uid, modality)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e")
