"""The Makefile for people and for pipes."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest


def test_help_is_bold_on_a_terminal_and_plain_in_a_pipe(root: Path) -> None:
    piped = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    assert "\033" not in piped.stdout + piped.stderr
    assert "  make demo         Start the service" in piped.stdout
    shown = on_terminal(root, "make", "help")
    assert "  \033[1mmake demo        \033[0m Start the service" in shown
    assert shown.replace("\033[1m", "").replace("\033[0m", "").replace("\r\n", "\n") == piped.stdout


def on_terminal(folder: Path, *command: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=folder, stdout=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 4096):
                written += chunk
        except OSError:  # how Linux tells that the other end was closed
            pass
        assert process.wait(30) == 0
    os.close(ours)
    return written.decode()


def clean(root: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    shutil.copy2(root / "Makefile", folder)
    return subprocess.run(["make", "clean"], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_clean_removes_caches_and_leaves_models_and_archives(root: Path, tmp_path: Path) -> None:
    gone = (".ruff_cache", "var/demo", "var/bench")
    kept = ("var/archive", "var/train/wrist_fracture", "var/engine", ".venv")
    for name in (*gone, *kept):
        (tmp_path / name).mkdir(parents=True)
    done = clean(root, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [name for name in gone if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []


@pytest.mark.parametrize("name", ["spool", "results", "vigil.sqlite"])
def test_clean_touches_nothing_where_an_installation_lies(root: Path, tmp_path: Path, name: str) -> None:
    """The places of `deploy/vigil.yaml`, with which README tells to run the service."""
    image = tmp_path / "var" / name / "image.dcm"
    image.parent.mkdir(parents=True)
    image.touch()
    (tmp_path / ".ruff_cache").mkdir()
    done = clean(root, tmp_path)
    assert done.returncode != 0
    assert f"var/{name} is here" in done.stderr
    assert image.exists()
    assert (tmp_path / ".ruff_cache").exists()
