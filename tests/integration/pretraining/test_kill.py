"""kill -9 at a random step: the same command goes on, and the curve is bitwise that of a run that was left alone."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from pretraining import checkpoint
from tests.integration.pretraining.runs import command, environment, losses, pictures, python
from tests.integration.pretraining.test_presets import labels_csv

STEPS = 24
PATIENCE_S = 580


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen([python(), *arguments], env=environment(), stdout=file, stderr=file)


def kill_at(process: subprocess.Popen[bytes], out: Path, step: int) -> int:
    """SIGKILL once the curve has that many steps; how many it had."""
    deadline = time.monotonic() + PATIENCE_S
    while len(losses(out)) < step:
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline, "the run makes no steps"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return len(losses(out))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("preset", ["thesis_simclr", "thesis_moco", "ghesu_swav_2d", "ghesu_hybrid"])
def test_a_killed_run_goes_on_bitwise(tmp_path: Path, preset: str) -> None:
    folder = pictures(tmp_path / "archive", 16)
    labels = {"labels": str(labels_csv(tmp_path / "labels.csv", folder)), "label_names": ["finding"]}
    settings = {"epochs": STEPS // 4, "checkpoint_every": 3, "plot_images": 4, "crop_counts": [2, 2], **labels}

    def arguments(name: str) -> list[str]:
        return command("ssl_2d", (preset,), folder, tmp_path, output_dir=str(tmp_path / name), **settings)

    log = tmp_path / "log.txt"
    assert start(arguments("whole"), log).wait(PATIENCE_S) == 0, log.read_text()[-3000:]
    # Past the second checkpoint, so that there is something to go on from.
    step = random.Random(preset).randint(7, STEPS // 2)
    made = kill_at(start(arguments("killed"), log), tmp_path / "killed", step)
    assert step <= made < STEPS
    assert start(arguments("killed"), log).wait(PATIENCE_S) == 0, log.read_text()[-3000:]

    assert "pretraining_resumed" in log.read_text()
    assert len(losses(tmp_path / "whole")) == STEPS
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    whole, killed = (checkpoint.read(tmp_path / name / checkpoint.NAME) for name in ("whole", "killed"))
    assert all(torch.equal(tensor, killed["objective"][name]) for name, tensor in whole["objective"].items())
    assert whole["sampler"] == killed["sampler"]
