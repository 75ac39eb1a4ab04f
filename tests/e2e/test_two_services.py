"""A second service beside a running one: it never says that it is ready on the strength of what the first answers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from app.cli.serve import READY, ask_health
from tests.e2e.conftest import ROOT, Service, installed
from tests.integration.receive.dcmtk import free_port
from tests.integration.workflow.tiny import write_bundle

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def first(folder: Path) -> Iterator[Service]:
    write_bundle(folder / "bundles")
    with installed(folder, bundles={"folder": str(folder / "bundles")}) as service:
        service.start()
        yield service
        assert service.stop() == 0


def serve(config: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app", "serve", "--config", str(config)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def metrics(service: Service) -> str:
    with urlopen(f"{service.address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_on_the_same_settings_it_says_why_and_leaves_the_first_alone(first: Service) -> None:
    before = sorted((first.folder / "run" / "metrics").iterdir())
    second = serve(first.config)
    assert (second.returncode, second.stdout) == (2, "")
    assert "a service runs already on these settings" in second.stderr
    assert "child_started" not in second.stderr
    assert before
    assert set(before) <= set((first.folder / "run" / "metrics").iterdir())
    assert "vigil_" in metrics(first)
    assert (ask_health(first.address) or {})["ok"] is True


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ((), {"listener", "web"}),
        (("http",), {"listener"}),
        (("listener",), {"web"}),
    ],
)
def test_with_a_run_folder_of_its_own_it_ends_where_a_port_is_held(
    first: Service, tmp_path: Path, own: tuple[str, ...], refused: set[str]
) -> None:
    """The same database too: the worker that beats there is the first one's."""
    raw = yaml.safe_load(first.config.read_text())
    raw["run"] = str(tmp_path / "run")
    raw["worker"]["id"] = "second"
    for section in own:
        raw[section]["port"] = free_port()
    config = tmp_path / "vigil.yaml"
    config.write_text(yaml.safe_dump(raw))
    second = serve(config)
    assert second.returncode == 2, second.stderr[-3000:]
    assert READY not in second.stdout
    assert any(f"{name}: cannot listen on" in second.stderr for name in refused), second.stderr[-3000:]
    assert (ask_health(first.address) or {})["ok"] is True
    shutil.rmtree(tmp_path / "run")
