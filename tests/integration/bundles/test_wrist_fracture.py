"""The wrist configurations run with plain `python -m monai.bundle run`, on phantoms as their generator writes them."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from app.demo.phantoms.radiographs.image_set import write_image_set
from bundles.wrist_fracture.scripts.datalist import load_wrists
from bundles.wrist_fracture.scripts.network import WristFractureNet
from bundles.wrist_fracture.scripts.places import PlacesLearner
from pretraining.backbones import make_encoder
from pretraining.export import Training, export_encoder

CONFIGS = "bundles/wrist_fracture/configs"
SMALL = ("--size", "64", "--batch_size", "4", "--bfloat16", "false")
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wrists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of phantom wrists, large enough for all three parts, and two of them in DICOM."""
    folder = tmp_path_factory.mktemp("wrists")
    write_image_set(folder, "wrist", 45, seed=3, workers=1, size=128)
    write_image_set(folder / "dicom", "wrist", 2, seed=4, workers=1, size=256, form="dicom", held_out=True)
    return folder


def test_the_datalist_of_phantoms_loads_as_it_is(wrists: Path) -> None:
    content = json.loads((wrists / "datalist.json").read_text())
    for section in ("training", "validation", "test"):
        items = load_wrists(str(wrists / "datalist.json"), section)
        assert [item["label"] for item in items] == [row["labels"]["fracture"] for row in content[section]]
        assert [item["boxes"] for item in items] == [row["boxes"] for row in content[section]]
    assert {item["label"] for item in load_wrists(str(wrists / "datalist.json"), "training")} == {0.0, 1.0}


def test_training_goes_on_into_the_second_phase_then_weights_are_measured_and_used(
    wrists: Path, tmp_path: Path, run_bundle: Run
) -> None:
    where = ("--dataset_dir", wrists, "--output_dir", tmp_path)
    printed = run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--head_epochs", 1, "--all_epochs", 0)
    assert "trains=head" in plain(printed)
    printed = plain(run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--head_epochs", 1, "--all_epochs", 1))
    assert "training_resumed" in printed
    assert "trains=everything" in printed
    assert not re.search(r"Epoch \[1/2\]", printed)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 2
    weights = tmp_path / "weights.pt"
    torch.save(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["network"], weights)
    WristFractureNet().load_state_dict(torch.load(weights, weights_only=True))

    same = ("--size", 64, "--weights", weights)
    out = tmp_path / "evaluation"
    run_bundle(
        f"{CONFIGS}/evaluate.yaml", "--dataset_dir", wrists, "--output_dir", out, *same, "--section", "training",
        "--threshold", 0.5, "--replicates", 10, "--examples", 2,
    )  # fmt: skip
    written = json.loads((out / "evaluation.json").read_text())
    assert written["data"].startswith("phantom")
    assert "**Measured on phantoms:**" in (out / "model_card_section.md").read_text()

    out = tmp_path / "results"
    run_bundle(f"{CONFIGS}/inference.yaml", "--input", wrists / "dicom", "--output_dir", out, *same)
    results = [json.loads(path.read_text()) for path in sorted(out.rglob("*.json"))]
    assert [sorted(result.keys() - {"notes"}) for result in results] == [["fracture", "image", "region"]] * 2
    assert all(0 <= result["fracture"] <= 1 for result in results)


def test_one_override_trains_from_an_exported_encoder_and_the_log_says_so(
    wrists: Path, tmp_path: Path, run_bundle: Run
) -> None:
    torch.manual_seed(3)
    encoder = tmp_path / "encoder.pt"
    described = Training("SimCLR", "resnet18", (64, 64), "0 to 1", "phantom: none", epochs=1, steps=1, commit="test")
    export_encoder(make_encoder("resnet18"), encoder, described)
    exported = torch.load(encoder, weights_only=True)
    where = ("--dataset_dir", wrists, "--output_dir", tmp_path / "run", "--limit", 8)
    lengths = ("--head_epochs", 1, "--all_epochs", 0, "--encoder_weights", encoder)
    printed = plain(run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, *lengths))
    assert f"{len(exported)} tensors loaded" in printed
    assert re.search(r"tensors='?conv1 1, bn1 5, layer1 ", printed)
    trained = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["network"]
    # While the head alone is trained, the encoder stays what was loaded.
    assert all(torch.equal(trained[f"encoder.{name}"], value) for name, value in exported.items())


def test_two_processes_train_both_phases_on_gloo(wrists: Path, tmp_path: Path, run_bundle: Run) -> None:
    config = f"['{CONFIGS}/train.yaml','{CONFIGS}/multi_gpu_train.yaml']"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    where = ("--dataset_dir", wrists, "--output_dir", tmp_path, "--backend", "gloo")
    lengths = ("--head_epochs", 1, "--all_epochs", 1)
    printed = plain(run_bundle(config, *where, *SMALL, *lengths, launcher=torchrun))
    assert printed.count("trains=head") == printed.count("trains=everything") == 2
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 2
    assert all(torch.isfinite(value.float()).all() for value in state["network"].values())
    momenta = state["optimizer"]["state"].values()
    assert len(momenta) == len(list(PlacesLearner(WristFractureNet()).parameters()))
    assert all(value["momentum_buffer"].abs().sum() > 0 for value in momenta)


def test_real_wrists_are_read_and_regions_lie_inside_of_them(
    imaging_data: Path, tmp_path: Path, run_bundle: Run
) -> None:
    torch.manual_seed(0)
    network = WristFractureNet()
    network.head[2].weight.data.abs_()  # every feature speaks for a fracture: each image has a region
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    source = imaging_data / "xr_wrist_grazped"
    run_bundle(
        f"{CONFIGS}/inference.yaml", "--input", source, "--output_dir", tmp_path / "out",
        "--weights", tmp_path / "weights.pt", "--size", 128,
    )  # fmt: skip
    results = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("*.json")]
    sizes = {path.name: Image.open(path).size for path in source.rglob("*.png")}
    assert {Path(result["image"]).name for result in results} == set(sizes)
    for result in results:
        x0, y0, x1, y1 = result["region"]
        columns, rows = sizes[Path(result["image"]).name]
        assert 0 <= x0 < x1 <= columns
        assert 0 <= y0 < y1 <= rows


def plain(printed: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", printed)
