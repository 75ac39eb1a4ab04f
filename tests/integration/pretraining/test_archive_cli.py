"""`python -m pretraining index` and `shard` as a user runs them, kill -9 among it."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pretraining.data.store import ImageStore
from tests.unit.pretraining.data.archive import mixed, ramp, save_picture


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pretraining", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_an_archive_is_indexed_and_sharded_from_the_command_line(tmp_path: Path) -> None:
    folder, index, store = mixed(tmp_path / "in"), tmp_path / "index.parquet", tmp_path / "store"
    (folder / "broken.png").write_bytes(b"no")
    indexed = _run("index", folder, index, "--pattern", r"(p\d+)", "--workers", 0)
    assert indexed.returncode == 0, indexed.stderr
    assert "10 images in" in indexed.stdout
    assert "1 unreadable files: see" in indexed.stdout
    sharded = _run("shard", folder, index, store, "--window", "CT=-1000:1000", "--workers", 1)
    assert sharded.returncode == 0, sharded.stderr
    assert "12 images in" in sharded.stdout
    assert len(ImageStore(store)) == 12


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("index", "empty", "index.parquet"), "no image in this folder"),
        (("shard", "empty", "index.parquet", "store"), "make one with 'python -m pretraining index'"),
        (("index", "empty", "index.parquet", "--shares", 1, 1, 1), "must sum to 1"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, words: tuple[object, ...], says: str) -> None:
    (tmp_path / "empty").mkdir()
    verb, *paths = words
    done = _run(verb, *(tmp_path / str(path) if str(path)[0].isalpha() else path for path in paths))
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    folder, index, store = tmp_path / "in", tmp_path / "index.parquet", tmp_path / "store"
    for number in range(2100):
        save_picture(folder / f"{number:04d}.png", ramp(8, 8, number))
    assert _run("index", folder, index, "--workers", 0).returncode == 0
    command = [sys.executable, "-m", "pretraining", "shard", folder, index, store, "--workers", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not (store / "shard-00000.parquet").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (store / "complete.json").exists()
    kept = (store / "shard-00000.arrow").stat().st_mtime_ns
    done = _run(*command[3:])
    assert done.returncode == 0, done.stderr
    assert (store / "shard-00000.arrow").stat().st_mtime_ns == kept
    values = [int(np.min(sample.image.numpy())) for sample in ImageStore(store)]
    assert values == list(range(2100))
