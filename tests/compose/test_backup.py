"""An installation is backed up while it runs, thrown away, and restored, by the two commands that an operator calls."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.compose.conftest import MakeStudies
from tests.compose.docker import ROOT, docker
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner
from tests.compose.stack import FOR_TESTS, MAIN, Stack, installed
from tests.compose.test_life import known
from tests.integration.receive.dcmtk import free_port

COMMAND_TIMEOUT_S = 600.0
HASHES = (
    "cd /var/lib/vigil && find results spool/studies bundles -type f ! -path '*/.*' -exec sha256sum {} + | sort -k 2"
)


@dataclass(frozen=True)
class Clone:
    """A copy of what is shipped for servers, and the installation that its `deploy/` commands are called for."""

    folder: Path
    stack: Stack

    def call(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `deploy/` as an operator of this installation."""
        files = (self.folder / "docker-compose.yml", FOR_TESTS)
        environment = {
            **self.stack.environment,
            "COMPOSE_PROJECT_NAME": self.stack.project,
            "COMPOSE_FILE": ":".join(map(str, files)),
        }
        return subprocess.run(
            [self.folder / "deploy" / command[0], *command[1:]],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip


def cloned(folder: Path) -> Path:
    """What is shipped for servers, in another folder, without anything of this one's installation."""
    shipped = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", MAIN.name, "deploy"]
    listed = subprocess.run(shipped, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


@contextmanager
def another(stack: Stack, folder: Path) -> Iterator[Stack]:
    """An installation under another name that has no settings, no secrets and no data yet; removed in the end."""
    folder.mkdir()
    project = f"vigil-test-{os.urandom(4).hex()}"
    ports = {name: free_port() for name in ("dicom_port", "http_port", "pacs_port")}
    other = replace(stack, project=project, folder=folder, **ports)
    try:
        yield other
    finally:
        other.end()


@pytest.fixture
def house(vigil_image: str, tmp_path: Path) -> Iterator[Clone]:
    first = tmp_path / "first"
    first.mkdir()
    with installed(first, vigil_image) as stack:
        yield Clone(cloned(tmp_path / "clone"), stack)


def hashes(stack: Stack) -> str:
    return stack.execute("web", "sh", "-c", HASHES)


def test_an_installation_is_backed_up_thrown_away_and_restored(
    house: Clone, fresh: MakeStudies, tmp_path: Path
) -> None:
    stack, taken, token = house.stack, tmp_path / "backup", house.stack.token
    refused = house.call("backup", str(taken))
    assert refused.returncode == 1
    assert "does not run; start it" in refused.stderr
    stack.up()
    ours = "mkdir /var/lib/vigil/bundles/ours && echo words > /var/lib/vigil/bundles/ours/README"
    volume = f"{stack.project}_bundles:/var/lib/vigil/bundles"
    docker("run", "--rm", "--volume", volume, "--entrypoint", "sh", stack.image, "-c", ours)
    ledger, studies = Ledger(stack), fresh(3)
    for study in studies:
        Scanner(stack.dicom_port).send(study)
        ledger.add(study)
    ledger.await_all()
    rules = house.folder / "deploy" / "routes" / "ward" / "rules.yaml"
    rules.parent.mkdir()
    (tmp_path / "rules.yaml").write_text("rules: []\n")
    rules.symlink_to(tmp_path / "rules.yaml")
    done = house.call("backup", str(taken))
    assert done.returncode == 0, done.stderr
    assert taken.stat().st_mode & 0o777 == 0o700
    again = house.call("backup", str(taken))
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    running = house.call("restore", str(taken))
    assert running.returncode == 1
    assert "runs; stop them first" in running.stderr
    shown, files = known(stack), hashes(stack)
    receipts = {study.uid: ledger.revisions(study)[0]["receipts"] for study in studies}
    stack.end()

    with another(stack, tmp_path / "second") as other:
        there = Clone(cloned(tmp_path / "elsewhere"), other)
        restored = there.call("restore", str(taken))
        assert restored.returncode == 0, restored.stderr
        assert other.token == token
        assert (there.folder / "deploy" / "routes" / "ward" / "rules.yaml").read_text() == "rules: []\n"
        other.up()
        assert known(other) == shown
        assert hashes(other) == files
        ledger = Ledger(other)
        assert {study.uid: ledger.revisions(study)[0]["receipts"] for study in studies} == receipts
        # Its PACS is new and empty: what comes now is of the study that is sent now, and nothing is sent twice.
        (late,) = fresh(1)
        Scanner(other.dicom_port).send(late)
        ledger.add(late)
        ledger.await_all()
        assert other.pacs.stored() == len(ledger.revisions(late)[0]["receipts"])
