"""The configurations run with plain `python -m monai.bundle run`, on phantoms and on a real head."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from bundles.common.manifest import sha256_of
from bundles.common.metrics.cases import case_id, image_of, read_cases, slice_id
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet
from pretraining.backbones import make_encoder
from pretraining.export import Training, export_encoder

CONFIGS = "bundles/head_ct_hemorrhage/configs"
SMALL = ("--box", "[40,64,64]", "--batch_size", "2", "--bfloat16", "false")
Run = Callable[..., str]
SSL = Training(
    objective="SwAV",
    backbone="dense3d",
    image_size=(40, 64, 64),
    value_range="HU, centre 55, width 200",
    data="phantom: none, random weights",
    epochs=1,
    steps=1,
)


def test_training_runs_and_goes_on_where_it_was_killed(phantoms: Path, tmp_path: Path, run_bundle: Run) -> None:
    where = ("--dataset_dir", phantoms, "--output_dir", tmp_path)
    run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--epochs", 1)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert checkpoint["epoch"] == 1
    printed = run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--epochs", 2)
    assert re.search(r"Epoch \[2/2\]", printed)
    assert not re.search(r"Epoch \[1/2\]", printed)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 2
    network = HemorrhageNet(segmentation=True)
    network.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))
    assert {"epoch", "score", "hemorrhage", "types", "slices", "dice"} <= set(
        json.loads((tmp_path / "best.json").read_text())
    )
    assert list((tmp_path / "tensorboard").iterdir())


ABLATION = {
    "volume": [],
    "types": ["types"],
    "slices": ["types", "slices"],
    "pretraining": ["types", "slices"],
    "segmentation": ["types", "slices", "segmentation"],
}
PRETRAINED = ("pretraining", "segmentation")


@pytest.mark.parametrize("step", ABLATION)
def test_every_overlay_of_the_ablation_trains(step: str, phantoms: Path, tmp_path: Path, run_bundle: Run) -> None:
    config = f"['{CONFIGS}/train.yaml','{CONFIGS}/ablation_{step}.yaml']"
    where = ("--dataset_dir", phantoms, "--output_dir", tmp_path / "out", "--limit", 2)
    encoder = tmp_path / "encoder.pt"
    if step in PRETRAINED:
        torch.manual_seed(4)
        export_encoder(make_encoder("dense3d"), encoder, SSL)
        where = (*where, "--encoder_weights", encoder, "--learning_rate", 0)
    run_bundle(config, *where, *SMALL, "--epochs", 1)
    state = torch.load(tmp_path / "out" / "best.pt", weights_only=True)
    HemorrhageNet(segmentation="segmentation" in ABLATION[step]).load_state_dict(state)
    if step in PRETRAINED:
        # At a learning rate of 0 the convolutions are still those of the file.
        given = torch.load(encoder, weights_only=True)
        convolutions = {name for name, value in given.items() if value.ndim == 5}
        assert convolutions
        assert all(torch.equal(state[f"encoder.{name}"], given[name]) for name in convolutions)
    parser = ConfigParser()
    parser.read_config([f"{CONFIGS}/train.yaml", f"{CONFIGS}/ablation_{step}.yaml"])
    assert parser["auxiliary"] == ABLATION[step]


def test_the_segmentation_head_is_trained_alone_on_weights_without_one(
    phantoms: Path, tmp_path: Path, run_bundle: Run
) -> None:
    torch.manual_seed(5)
    given = HemorrhageNet().state_dict()
    torch.save(given, tmp_path / "given.pt")
    printed = run_bundle(
        f"{CONFIGS}/train.yaml",
        *("--dataset_dir", phantoms, "--output_dir", tmp_path / "out", "--initial_weights", tmp_path / "given.pt"),
        *("--train_only", "segmentation", "--negatives", 0.5, *SMALL, "--epochs", 1),
    )
    assert "part_not_in_weights" in printed
    state = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)["network"]
    HemorrhageNet(segmentation=True).load_state_dict(state)
    assert all(torch.equal(state[name], value) for name, value in given.items())
    assert "dice" in json.loads((tmp_path / "out" / "best.json").read_text())


def test_two_processes_train_on_gloo(phantoms: Path, tmp_path: Path, run_bundle: Run) -> None:
    config = f"['{CONFIGS}/train.yaml','{CONFIGS}/multi_gpu_train.yaml']"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    where = ("--dataset_dir", phantoms, "--output_dir", tmp_path, "--backend", "gloo")
    run_bundle(config, *where, *SMALL, "--epochs", 1, launcher=torchrun)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 1
    assert (tmp_path / "best.pt").is_file()


def test_evaluation_measures_every_output_and_the_baseline(phantoms: Path, tmp_path: Path, run_bundle: Run) -> None:
    printed = run_bundle(
        f"{CONFIGS}/evaluate.yaml", "--dataset_dir", phantoms, "--output_dir", tmp_path, "--replicates", 20
    )
    report = json.loads((tmp_path / "evaluation.json").read_text())
    names = {"hemorrhage", "types_mean", "slices", "bright_pixel_baseline", "subdural", "operating_point"}
    assert names <= set(report)
    assert (report["hemorrhage"]["positives"], report["hemorrhage"]["negatives"]) == (2, 2)
    assert "bright_pixel_baseline" in printed
    cases = read_cases(tmp_path / "cases.csv")
    truths = json.loads((phantoms / "datalist.json").read_text())["test"]
    heads = {case.case: case.truth for case in cases if case.finding == "hemorrhage"}
    assert heads == {case_id(case["image"]): case["label"] == 1 for case in truths}
    # One of the four has no labels of types, and one none of slices.
    assert sum(case.finding == "subdural" for case in cases) == 3
    slices = {case.case: case.truth for case in cases if case.finding == "hemorrhage in a slice"}
    known = [case for case in truths if case["slices"] is not None]
    bled = [slice_id(case["image"], n) for case in known for n, blood in enumerate(case["slices"]) if blood]
    assert {key for key, truth in slices.items() if truth} <= set(bled)
    assert sum(slices.values()) > len(bled) / 2
    assert len({image_of(key) for key in slices}) == 3


def test_inference_writes_a_probability_for_each_slice(phantoms: Path, tmp_path: Path, run_bundle: Run) -> None:
    image = phantoms / "501_image.nii.gz"
    run_bundle(f"{CONFIGS}/inference.yaml", "--input", image, "--output_dir", tmp_path)
    result = json.loads((tmp_path / "501_image.nii.gz.json").read_text())
    cases = json.loads((phantoms / "datalist.json").read_text())["training"]
    assert len(result["slices"]) == len(cases[1]["slices"])
    numbers = [result["hemorrhage"], *result["types"].values(), *result["slices"]]
    assert all(0 <= number <= 1 for number in numbers)


def test_inference_reads_a_real_series(imaging_data: Path, tmp_path: Path, run_bundle: Run) -> None:
    run_bundle(f"{CONFIGS}/inference.yaml", "--input", imaging_data / "dicom" / "ct_head_ge", "--output_dir", tmp_path)
    (result,) = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    assert len(result["slices"]) == 28


def test_weights_are_those_of_the_manifest(root: Path) -> None:
    bundle = root / "bundles" / "head_ct_hemorrhage"
    manifest = json.loads((bundle / "models" / "manifest.json").read_text())
    assert sha256_of(bundle / "models" / "model.pt") == manifest["sha256"]
    assert manifest["training_data"].startswith("phantom")


@pytest.mark.parametrize("section", ["nowhere", "training"])
def test_a_missing_datalist_says_what_to_do(tmp_path: Path, section: str) -> None:
    from bundles.head_ct_hemorrhage.scripts.training import load_cases

    with pytest.raises(ValueError, match="missing; make phantoms"):
        load_cases(str(tmp_path / "datalist.json"), section)
