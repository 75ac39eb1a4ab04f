"""Installations to test the life of a study in: a spool, a tiny bundle, a stand-in PACS, SQLite or PostgreSQL."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import psycopg
import pytest
import yaml

from app import outcomes
from app.demo.pacs import Pacs
from app.outcomes import FINAL, StudyOutcome
from app.receive.spool import Spool
from app.settings import Database, Settings
from app.workflow import run_worker
from app.workflow_migration import migrate
from tests.integration.workflow.tiny import write_bundle

POSTGRES = Path("/usr/lib/postgresql/15/bin")
PATIENCE_S = 240.0


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL 15 cluster of our own on a free port; gives the address without a database name."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-postgres-", dir="/tmp"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    port = free_port()
    data, log = folder / "data", folder / "log"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, timeout=60, env=environment, cwd=folder, capture_output=True)

    run(str(POSTGRES / "initdb"), "-D", str(data), "-A", "trust", "-U", "vigil", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c port={port} -c fsync=off"
    run(str(POSTGRES / "pg_ctl"), "-D", str(data), "-l", str(log), "-o", options, "-w", "start")
    try:
        yield f"postgresql://vigil@127.0.0.1:{port}"
    finally:
        run(str(POSTGRES / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.debian)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh workflow database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/workflow.sqlite"
    server = request.getfixturevalue("postgres")
    name = f"test_{time.time_ns()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@dataclass
class Installation:
    """One installation below a folder."""

    folder: Path
    database_url: str
    overrides: dict[str, dict[str, object]] = field(default_factory=dict)
    destinations: list[dict[str, object]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        raw: dict[str, object] = {
            "spool": {"folder": self.folder / "spool", "min_free_mb": 0},
            "assembly": {"idle_s": 0, "poll_s": 0.05},
            "bundles": {"folder": self.folder / "bundles"},
            "inference": {"device": "cpu", "threads": 1},
            "database": {"url": self.database_url, "poll_s": 0.05},
            "worker": {"heartbeat_s": 0.5, "takeover_s": 3},
            "destinations": self.destinations,
            "results": self.folder / "results",
            "run": self.folder / "run",
        }
        for section, values in self.overrides.items():
            raw[section] = {**raw.get(section, {}), **values}  # type: ignore[dict-item]
        return Settings.model_validate(raw)

    def spool(self) -> Spool:
        return Spool(self.settings.spool.folder, 0)

    def destination(self, pacs: Pacs, **changes: object) -> None:
        self.destinations.append(
            {
                "name": "pacs",
                "host": pacs.host,
                "port": pacs.port,
                "ae_title": pacs.ae_title,
                "documents": ["sr"],
                "attempts": 3,
                "backoff_s": 0.2,
                "timeout_s": 5,
                **changes,
            }
        )

    def write_settings(self, name: str = "settings.yaml") -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(self.settings.model_dump(mode="json")))
        return path

    def outcomes(self) -> list[StudyOutcome]:
        return outcomes.studies(self.settings)

    def wait(self, enough: Callable[[list[StudyOutcome]], bool], patience_s: float = PATIENCE_S) -> list[StudyOutcome]:
        deadline = time.monotonic() + patience_s
        while not enough(found := self.outcomes()):
            assert time.monotonic() < deadline, [(each.state, each.problem, each.receipts) for each in found]
            time.sleep(0.05)
        return found

    def wait_final(self, studies: int = 1) -> list[StudyOutcome]:
        def done(found: list[StudyOutcome]) -> bool:
            return len(found) >= studies and all(each.state in FINAL for each in found)

        return self.wait(done)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker in this process."""
        stop = Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run_worker, self.settings, stop)
            try:
                yield
            finally:
                stop.set()
            running.result(PATIENCE_S)

    def start_process(self, settings: Path | None = None, version: str = "") -> "subprocess.Popen[bytes]":
        """A worker that can be killed; with a version, of an older or a newer program."""
        log = (self.folder / "worker.log").open("ab")
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.integration.workflow.work",
                str(settings or self.write_settings()),
                *([version] if version else []),
            ],
            cwd=Path(__file__).resolve().parents[3],
            env={
                "PATH": os.environ["PATH"],
                "OMP_NUM_THREADS": "1",
                **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
            },
            stdout=log,
            stderr=log,
        )


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Installation:
    """With one bundle, and no destination yet."""
    (tmp_path / "bundles").mkdir()
    write_bundle(tmp_path / "bundles")
    migrate(Database(url=database_url))
    return Installation(tmp_path, database_url)


@pytest.fixture
def pacs(tmp_path: Path, installation: Installation) -> Iterator[Pacs]:
    """A stand-in PACS that takes everything, set as the destination."""
    with Pacs(tmp_path / "pacs") as peer:
        installation.destination(peer)
        yield peer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
