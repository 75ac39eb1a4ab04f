"""The view configurations run with plain `python -m monai.bundle run`, on phantoms as their generator writes them."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from app.demo.phantoms.radiographs.image_set import write_image_set
from app.infer.catalogue import load_view_bundle
from app.infer.views import Viewer
from app.settings import Inference
from bundles.common.views import VIEWS
from bundles.radiograph_view.scripts.network import ViewNet

CONFIGS = "bundles/radiograph_view/configs"
SMALL = ("--size", "32", "--stored_size", "48", "--batch_size", "8")
Run = Callable[..., str]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of phantoms of every view, and two in DICOM."""
    folder = tmp_path_factory.mktemp("views")
    write_image_set(folder, "views", 45, seed=3, workers=1, size=128)
    write_image_set(folder / "dicom", "views", 2, seed=4, workers=1, size=128, form="dicom", held_out=True)
    return folder


def test_weights_are_trained_then_measured_and_used(views: Path, tmp_path: Path, run_bundle: Run) -> None:
    where = ("--dataset_dir", views, "--output_dir", tmp_path)
    run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--epochs", 1)
    printed = run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--epochs", 2)
    assert "training_resumed" in printed
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 2
    weights = tmp_path / "best.pt"
    ViewNet().load_state_dict(torch.load(weights, weights_only=True))

    out = tmp_path / "evaluation"
    same = ("--size", 32, "--weights", weights)
    run_bundle(
        f"{CONFIGS}/evaluate.yaml", "--dataset_dir", views, "--output_dir", out, *same, "--section", "training",
        "--replicates", 10,
    )  # fmt: skip
    written = json.loads((out / "evaluation.json").read_text())
    rows = json.loads((views / "datalist.json").read_text())["training"]
    assert sum(sum(said.values()) for said in written["confusion"].values()) == len(rows)
    assert list(written["views"]) == list(VIEWS)
    assert (out / "confusion.md").read_text().startswith("| Shown | frontal chest |")

    out = tmp_path / "results"
    run_bundle(f"{CONFIGS}/inference.yaml", "--input", views / "dicom", "--output_dir", out, *same)
    results = [json.loads(path.read_text()) for path in sorted(out.rglob("*.json"))]
    assert [sorted(result.keys() - {"notes"}) for result in results] == [["image", "probabilities", "view"]] * 2
    assert all(sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-3) for result in results)


def test_two_processes_train_on_gloo(views: Path, tmp_path: Path, run_bundle: Run) -> None:
    config = f"['{CONFIGS}/train.yaml','{CONFIGS}/multi_gpu_train.yaml']"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    where = ("--dataset_dir", views, "--output_dir", tmp_path, "--backend", "gloo")
    run_bundle(config, *where, *SMALL, "--epochs", 1, launcher=torchrun)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 1
    assert all(torch.isfinite(value.float()).all() for value in state["network"].values())


@pytest.fixture(scope="module")
def ask(root: Path) -> Callable[[Path], str]:
    """What the released weights say of an image, as routing gets it."""
    bundle = load_view_bundle(root / "bundles" / "radiograph_view")
    viewer = Viewer(bundle, Inference(device="cpu"), torch.device("cpu"))

    def said(path: Path) -> str:
        return viewer.view_of(str(path)).name

    return said


def test_real_wrists_and_chests_are_told_apart_and_a_hip_and_a_tibia_are_neither(
    imaging_data: Path, ask: Callable[[Path], str]
) -> None:
    wrists = sorted((imaging_data / "xr_wrist_grazped").glob("*.png"))
    assert [ask(path) for path in wrists] == ["wrist"] * 5
    films = {path.stem: ask(path) for path in sorted((imaging_data / "dicom" / "cr").glob("*.dcm"))}
    assert films == {
        "RG1_J2KI": "frontal_chest",
        "RG1_JLSN": "frontal_chest",
        "RG2_J2KR": "unclear",
        "RG3_JLSL": "unclear",
    }


def test_nearly_every_real_frontal_chest_is_one(imaging_data: Path, ask: Callable[[Path], str]) -> None:
    chests = sorted((imaging_data / "cxr_nih" / "images").iterdir())[::10]
    said = Counter(ask(path) for path in chests)
    assert said["frontal_chest"] >= 0.95 * len(chests)
    assert said["wrist"] == said["lateral_chest"] == 0
