"""Each process shows its own figures on its own port; several processes of a listener show theirs together."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from app.__main__ import main
from app.errors import Failed
from app.exporter import observed, registry, resident_bytes, shares_figures, started_at
from app.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]


def settings(port: int | None, processes: int = 1) -> Settings:
    return Settings.model_validate(
        {"metrics": {"host": "127.0.0.1", "port": port}, "listener": {"processes": processes}}
    )


def taken() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def free() -> int:
    with taken() as held:
        return int(held.getsockname()[1])


def shown(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_the_figures_of_this_process_are_shown_while_it_runs() -> None:
    port = free()
    with observed(settings(port), "worker"):
        text = shown(port)
        assert 'vigil_process_resident_memory_bytes{role="worker"}' in text
        assert "vigil_build_info{" in text
        assert "_created" not in text
    with pytest.raises(OSError, match="refused"):
        shown(port)


@pytest.mark.parametrize("off", [0, None])
def test_no_port_is_opened_where_none_is_set(off: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr("app.exporter.start_http_server", never)
    with observed(settings(off), "worker"):
        pass


def test_a_port_that_is_held_is_told_with_what_to_do() -> None:
    with taken() as held:
        port = held.getsockname()[1]
        with pytest.raises(Failed, match=rf"127\.0\.0\.1:{port}.*set metrics\.port"), observed(settings(port), "web"):
            raise AssertionError("it must not come so far")


def test_the_command_line_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: object) -> None:
    monkeypatch.chdir(tmp_path)
    with taken() as held:
        monkeypatch.setenv("VIGIL_METRICS__PORT", str(held.getsockname()[1]))
        monkeypatch.setenv("VIGIL_LISTENER__PORT", str(free()))
        with pytest.raises(SystemExit) as ended:
            main(["listen"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("port", "role", "processes", "shares"),
    [
        (9464, "listener", 1, False),
        (9464, "listener", 4, True),
        (9464, "worker", 4, False),
        (9464, "web", 4, False),
        (0, "listener", 1, True),
        (0, "web", 1, True),
    ],
)
def test_who_shares_a_folder_of_figures(port: int, role: str, processes: int, shares: bool) -> None:
    assert shares_figures(settings(port, processes), role) is shares


def test_figures_that_are_shared_without_a_folder_are_an_error() -> None:
    with pytest.raises(ValueError, match="PROMETHEUS_MULTIPROC_DIR"):
        registry(settings(9464, 2), "listener")


def test_the_environment_sets_the_port() -> None:
    assert load(None, {"VIGIL_METRICS__PORT": "9464"}).metrics.port == 9464
    assert not load(None, {}).metrics.port


def test_memory_and_start_are_those_of_this_process() -> None:
    assert 20e6 < resident_bytes() < 20e9
    child = subprocess.run(
        [sys.executable, "-c", "from app.exporter import started_at; print(started_at())"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ROOT,
    )
    assert started_at() < float(child.stdout) <= time.time() + 1


def test_a_command_by_hand_does_without_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """`replay` counts what it delivers, and once broke where the environment named a folder that nobody had made."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "missing")}
    settings = {"VIGIL_RESULTS": str(tmp_path / "results"), "VIGIL_RUN": str(tmp_path / "run")}
    ended = subprocess.run(
        [sys.executable, "-m", "app", "replay", "1.2.3"],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert (ended.returncode, "no study of that key" in ended.stderr) == (2, True), ended.stderr


@pytest.mark.timeout(180)
def test_a_listener_of_several_processes_shows_the_sum(tmp_path: Path) -> None:
    """Against a folder that the environment names, as an image may: two containers must not share one."""
    port, dicom = free(), free()
    inherited = tmp_path / "inherited"
    inherited.mkdir()
    environment = {
        **os.environ,
        "VIGIL_METRICS__PORT": str(port),
        "VIGIL_LISTENER__PORT": str(dicom),
        "VIGIL_LISTENER__HOST": "127.0.0.1",
        "VIGIL_LISTENER__PROCESSES": "2",
        "VIGIL_SPOOL__FOLDER": str(tmp_path / "spool"),
        "VIGIL_SPOOL__MIN_FREE_MB": "0",
        "VIGIL_RUN": str(tmp_path / "run"),
        "VIGIL_RESULTS": str(tmp_path / "results"),
        "PROMETHEUS_MULTIPROC_DIR": str(inherited),
        "TMPDIR": str(tmp_path),
    }
    process = subprocess.Popen([sys.executable, "-m", "app", "listen"], env=environment, cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not _memory_of_three(port):
            assert process.poll() is None
            assert time.monotonic() < deadline, "the figures of parent and children were not summed"
            time.sleep(0.3)
        assert len(list(tmp_path.glob("vigil-metrics-*"))) == 1
        assert list(inherited.iterdir()) == []
    finally:
        process.terminate()
        process.wait(60)
    assert list(tmp_path.glob("vigil-metrics-*")) == [], "nothing is left behind"


def _memory_of_three(port: int) -> bool:
    """Each process holds some 80 MB: more than 150 MB are at least two of them."""
    try:
        lines = shown(port).splitlines()
    except OSError:
        return False
    found = [line for line in lines if line.startswith('vigil_process_resident_memory_bytes{role="listener"}')]
    return bool(found) and float(found[0].split()[-1]) > 150e6
