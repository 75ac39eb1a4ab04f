"""What stands between `make test-compose` and a machine without Docker: a reason, and an exit code of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

NOT_HERE = 69
TOOLS = ("bash", "dirname", "id", "timeout", "sleep")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with a shell and no Docker."""
    for name in TOOLS:
        program = shutil.which(name)
        assert program
        (tmp_path / name).symlink_to(program)
    return tmp_path


def call(root: Path, path: Path, verb: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [root / "tests" / "compose" / "engine.sh", verb],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("verb", ["check", "start"])
def test_without_docker_it_says_what_to_install(root: Path, bare: Path, verb: str) -> None:
    done = call(root, bare, verb)
    assert done.returncode == NOT_HERE
    assert done.stderr.startswith("no compose tests: docker is missing; install it")


def test_without_an_engine_it_says_how_to_start_one(root: Path, bare: Path) -> None:
    for name in ("docker", "docker-compose"):
        script = bare / name
        script.write_text("#!/bin/bash\nexit 1\n")
        script.chmod(0o755)
    done = call(root, bare, "check")
    assert done.returncode == NOT_HERE
    assert "no Docker engine answers; start one" in done.stderr


def test_a_daemon_that_cannot_start_is_told_with_its_last_words(root: Path, bare: Path, tmp_path: Path) -> None:
    scripts = {
        "docker": "exit 1",
        "docker-compose": "exit 0",
        "id": "echo 0",
        "setsid": 'exec "$@"',
        "dockerd": "echo failed to start daemon: no privileges; exit 1",
        "mkdir": "exec /bin/mkdir $*",
        "tail": "exec /usr/bin/tail $*",
        "rm": "exec /bin/rm $*",
    }
    for name, line in scripts.items():
        (bare / name).unlink(missing_ok=True)
        (bare / name).write_text(f"#!/bin/bash\n{line}\n")
        (bare / name).chmod(0o755)
    copy = tmp_path / "tree" / "tests" / "compose"
    copy.mkdir(parents=True)
    shutil.copy2(root / "tests" / "compose" / "engine.sh", copy)
    done = call(tmp_path / "tree", bare, "start")
    assert done.returncode == NOT_HERE
    assert "no privileges" in done.stderr
    assert "dockerd did not start" in done.stderr


def test_an_unknown_verb_is_no_skip(root: Path, bare: Path) -> None:
    assert call(root, bare, "begin").returncode == 2
