"""Locks of the run folder, over processes and within one."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import Failed
from app.locks import IN_USE, alone, in_use

HOLD = """
import sys, time
from pathlib import Path
from app.locks import {0}
with {0}(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holding(what: str, path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD.format(what), str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_alone_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.lock"
    with holding("alone", path) as process:
        with alone(path) as ours:
            assert not ours
        process.kill()
        process.wait()
    with alone(path) as ours:
        assert ours


def test_many_may_use_it_and_none_is_alone_meanwhile(tmp_path: Path) -> None:
    with holding("in_use", tmp_path) as process, in_use(tmp_path):
        with alone(tmp_path / IN_USE) as ours:
            assert not ours
        process.kill()
        process.wait()
        with alone(tmp_path / IN_USE) as ours:
            assert not ours
    with alone(tmp_path / IN_USE) as ours:
        assert ours


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match="set `run`"), in_use(tmp_path / "file" / "run"):
        pass
