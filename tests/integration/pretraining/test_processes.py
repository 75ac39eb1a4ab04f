"""Two processes of torchrun over gloo train one encoder; a resume needs as many processes as before."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pretraining import checkpoint
from tests.integration.pretraining.runs import command, environment, losses, python, radiographs, reasons, train

PATIENCE_S = 580


def torchrun(preset: str, folder: Path, tmp: Path, **changes: Any) -> None:
    arguments = command("ssl_2d", (preset, "multi_gpu_train"), folder, tmp, backend="gloo", **changes)
    # The overlay chooses the device of each process; here there is only the CPU.
    head = [python(), "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*head, *arguments], env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("preset", ["ghesu_swav_2d", "thesis_moco"])
def test_two_processes_train_and_go_on(tmp_path: Path, preset: str) -> None:
    radiographs(tmp_path / "archive" / "dx", 8, "DX")
    radiographs(tmp_path / "archive" / "us", 8, "US")
    torchrun(preset, tmp_path / "archive", tmp_path, epochs=1)
    torchrun(preset, tmp_path / "archive", tmp_path, epochs=2)
    curve = losses(tmp_path / "out")
    # 16 images, 2 processes with 4 each: 2 steps an epoch.
    assert len(curve) == 4
    assert np.isfinite(curve).all()
    state = checkpoint.read(tmp_path / "out" / checkpoint.NAME)
    assert state["shape"]["world_size"] == 2
    assert state["sampler"]["position"] == 2 * 16
    views = [part["views"] for part in state["random"]]
    assert not torch.equal(*views)
    assert json.loads((tmp_path / "out" / "encoder.json").read_text())["steps"] == 4

    with pytest.raises(RuntimeError) as caught:
        train("ssl_2d", (preset,), tmp_path / "archive", tmp_path, epochs=3, batch_size=8)
    assert "world_size 2 (now 1)" in reasons(caught.value)
    assert "--nproc_per_node" in reasons(caught.value)
