"""The chest configurations run with plain `python -m monai.bundle run`, on phantoms as their generator writes them."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from app.demo.phantoms.radiographs.image_set import write_image_set
from bundles.chest_radiograph.scripts.datalist import load_radiographs
from bundles.chest_radiograph.scripts.network import ChestDetector
from pretraining.backbones import make_encoder
from pretraining.export import Training, export_encoder

CONFIGS = "bundles/chest_radiograph/configs"
SMALL = ("--size", 64, "--batch_size", 2, "--bfloat16", "false", "--channels", 16, "--depth", 1)
Run = Callable[..., str]


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of phantom chests; the first eight of each part are enough."""
    folder = tmp_path_factory.mktemp("chests")
    write_image_set(folder, "chest", 45, seed=3, workers=1, size=96)
    return folder


def test_the_datalist_of_phantoms_loads_as_it_is(chests: Path) -> None:
    content = json.loads((chests / "datalist.json").read_text())
    items = load_radiographs(str(chests / "datalist.json"), "training")
    assert [item["boxes"] for item in items] == [row["boxes"] for row in content["training"]]
    assert {tuple(item["labels"]) for item in items} >= {(0.0, 0.0)}


def test_one_override_trains_from_an_exported_encoder_and_the_log_says_so(
    chests: Path, tmp_path: Path, run_bundle: Run
) -> None:
    torch.manual_seed(3)
    encoder = tmp_path / "encoder.pt"
    described = Training("SimCLR", "resnet18", (64, 64), "0 to 1", "phantom: none", epochs=1, steps=1, commit="test")
    export_encoder(make_encoder("resnet18"), encoder, described)
    count = len(torch.load(encoder, weights_only=True))
    where = ("--dataset_dir", chests, "--output_dir", tmp_path / "run", "--limit", 8)
    printed = plain(run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--epochs", 1, "--encoder_weights", encoder))
    assert f"{count} tensors loaded" in printed
    assert re.search(r"tensors='?conv1 1, bn1 5, layer1 ", printed)
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert state["epoch"] == 1
    ChestDetector(channels=16, depth=1).load_state_dict(state["network"])


def test_two_processes_train_on_gloo_also_where_one_of_them_sees_no_box(
    chests: Path, tmp_path: Path, run_bundle: Run
) -> None:
    content = json.loads((chests / "datalist.json").read_text())
    shown = sorted(content["training"], key=lambda row: len(row["boxes"]))
    bare, boxed = shown[0], shown[-1]
    assert (bool(bare["boxes"]), bool(boxed["boxes"])) == (False, True)
    # With batches of one, each step has one process with a box and one without.
    content["training"] = [bare, boxed, {**bare, "patient": "other"}, {**boxed, "patient": "another"}]
    content["validation"] = content["validation"][:3]
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps(content))
    config = f"['{CONFIGS}/train.yaml','{CONFIGS}/multi_gpu_train.yaml']"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    where = ("--datalist", datalist, "--image_dir", chests, "--output_dir", tmp_path / "run", "--backend", "gloo")
    small = ("--size", 96, "--batch_size", 1, "--bfloat16", "false", "--channels", 16, "--depth", 1)
    run_bundle(config, *where, *small, "--epochs", 2, launcher=torchrun)
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert state["epoch"] == 2
    assert all(torch.isfinite(value.float()).all() for value in state["network"].values())
    assert len(state["optimizer"]["state"]) == len(list(ChestDetector(channels=16, depth=1).parameters()))
    best = json.loads((tmp_path / "run/best.json").read_text())
    assert {"epoch", "score", "map", "auc"} <= set(best)


def plain(printed: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", printed)
