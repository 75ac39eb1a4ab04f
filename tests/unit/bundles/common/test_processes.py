"""Parting of processes: every bundle's overlay does it alike, and the group is left."""

from pathlib import Path

import pytest
import torch.distributed
import yaml

from bundles.common import processes

ROOT = Path(__file__).resolve().parents[4]
OVERLAYS = sorted((ROOT / "bundles").glob("*/configs/multi_gpu_train.yaml"))


def test_the_group_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REST_S", 0)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    processes.leave()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.parts[-3])
def test_every_overlay_parts_so(overlay: Path) -> None:
    assert yaml.safe_load(overlay.read_text())["finalize"] == [{"_target_": "bundles.common.processes.leave"}]
