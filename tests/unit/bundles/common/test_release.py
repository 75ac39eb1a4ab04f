"""Weights go into a bundle in half precision, and only figures of these very weights into its manifest and card."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml
from torch import nn
from typer.testing import CliRunner

from bundles.chest_radiograph.scripts import release as chest_release
from bundles.chest_radiograph.scripts.network import ChestDetector
from bundles.common.checkpoints import load_weights
from bundles.common.manifest import load_manifest, metrics_table, sha256_of, shown_metrics
from bundles.wrist_fracture.scripts import release as wrist_release
from bundles.wrist_fracture.scripts.network import WristFractureNet

AREA = {"value": 0.97, "low": 0.95, "high": 0.99, "replicates": 500}
COUNTS = {"positives": 30, "negatives": 42}
POINT = {"figures": dict.fromkeys(("sensitivity", "specificity", "accuracy"), AREA)}
WRIST = {
    "classification": {"fracture": {"auroc": AREA, **COUNTS, "points": {"service": POINT}}},
    "extra": {"grad_cam": {**AREA, "images_with_boxes": 30}},
}
UNDEFINED = {"value": None, "low": None, "high": None, "replicates": 0}
CHEST = {
    "classification": {name: {"auroc": AREA, **COUNTS} for name in ("lesion", "pneumothorax")},
    "detection": {
        "lesion": {"froc_average": AREA, "average_precision": AREA},
        "pneumothorax": {"froc_average": UNDEFINED, "average_precision": UNDEFINED},
    },
    "extra": {"boxed_images": {name: {"with": 20, "without": 52} for name in ("lesion", "pneumothorax")}},
}
BUNDLES: dict[str, tuple[typer.Typer, type[nn.Module], dict[str, Any], str, list[str]]] = {
    "wrist_fracture": (
        wrist_release.app,
        WristFractureNet,
        WRIST,
        "22.4 MB",
        ["fracture", "sensitivity", "specificity", "accuracy", "grad_cam"],
    ),
    "chest_radiograph": (
        chest_release.app,
        ChestDetector,
        CHEST,
        "24.8 MB",
        ["lesion_auc", "pneumothorax_auc", "lesion_froc", "lesion_ap"],
    ),
}


def copied(root: Path, folder: Path, name: str) -> Path:
    """The bundle's configurations and card."""
    for part in ("configs", "docs"):
        shutil.copytree(root / "bundles" / name / part, folder / name / part)
    return folder / name


def call(app: typer.Typer, *arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


def evaluation(folder: Path, report: dict[str, Any], sha256: str) -> Path:
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps({**report, "weights_sha256": sha256}))
    (folder / "model_card_section.md").write_text("All that was measured.\n")
    (folder / "roc.png").write_bytes(b"picture")
    return folder / "evaluation.json"


@pytest.mark.parametrize("name", BUNDLES)
def test_weights_go_in_and_the_card_shows_their_figures(root: Path, tmp_path: Path, name: str) -> None:
    app, network, report, size, figures = BUNDLES[name]
    bundle = copied(root, tmp_path, name)
    torch.manual_seed(0)
    torch.save(network().state_dict(), tmp_path / "best.pt")
    code, output = call(app, "install", tmp_path / "best.pt", "--bundle", bundle)
    assert (code, size in output) == (0, True), output
    weights = bundle / "models" / "model.pt"
    load_weights(network(), str(weights))
    (listed,) = yaml.safe_load((bundle / "large_files.yml").read_text())["large_files"]
    assert (listed["path"], listed["hash_val"]) == ("models/model.pt", sha256_of(weights))

    options = ("--data", "phantom: none", "--command", "make", "--commit", "abc", "--bundle", bundle)
    other = evaluation(tmp_path / "other", report, "0" * 64)
    code, output = call(app, "describe", "--evaluation", other, *options)
    assert (code, "measured other weights" in output) == (2, True)
    assert not (bundle / "models" / "manifest.json").exists()

    own = evaluation(tmp_path / "own", report, sha256_of(weights))
    code, output = call(app, "describe", "--evaluation", own, *options)
    assert code == 0, output
    manifest, card = load_manifest(bundle), (bundle / "docs" / "README.md").read_text()
    assert list(manifest.metrics) == figures
    assert manifest.metrics[figures[0]].value == 0.97
    assert shown_metrics(card) == metrics_table(manifest)
    assert "**Trained on phantoms.**" in card
    assert "All that was measured." in card
    assert "](roc.png)" in card
    assert "](froc.png)" not in card
    assert (bundle / "docs" / "roc.png").read_bytes() == b"picture"


def test_weights_that_overflow_in_half_precision_are_refused(root: Path, tmp_path: Path) -> None:
    bundle, state = copied(root, tmp_path, "wrist_fracture"), WristFractureNet().state_dict()
    state["head.2.weight"][0, 0] = 1e6
    torch.save(state, tmp_path / "best.pt")
    code, output = call(wrist_release.app, "install", tmp_path / "best.pt", "--bundle", bundle)
    assert (code, "head.2.weight is not finite in half precision" in output) == (2, True), output
    assert not (bundle / "models").exists()


def test_settings_of_a_training_go_into_the_configurations(root: Path, tmp_path: Path) -> None:
    bundle = copied(root, tmp_path, "chest_radiograph")
    shape = {"network_data_format": {"inputs": {"image": {"spatial_shape": [512, 512]}}}}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(shape))
    code, output = call(chest_release.app, "settings", "size=384", "channels=64", "--bundle", bundle)
    assert code == 0, output
    for config in ("inference", "evaluate"):
        text = (bundle / "configs" / f"{config}.yaml").read_text()
        assert (yaml.safe_load(text)["size"], yaml.safe_load(text)["channels"]) == (384, 64)
        assert "# These four as in training." in text
    found = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert found["network_data_format"]["inputs"]["image"]["spatial_shape"] == [384, 384]
    assert call(chest_release.app, "settings", "size", "--bundle", bundle)[0] == 2
