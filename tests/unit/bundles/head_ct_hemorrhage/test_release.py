"""Figures of a parent are kept only where the segmentation head alone is new."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from bundles.common.manifest import load_manifest, metrics_table, sha256_of, shown_metrics
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet
from bundles.head_ct_hemorrhage.scripts.release import app

INTERVAL = {"value": 0.5, "low": 0.25, "high": 0.75, "replicates": 10}
LESIONS = {
    "volumes": 3,
    "lesions": 4,
    "with_lesions": 2,
    "sensitivity": INTERVAL,
    "sizes": [{"from_mm": 10.0, "below_mm": 20.0, "lesions": 4, "sensitivity": INTERVAL}],
    "false_alarms": INTERVAL,
    "dice": INTERVAL,
}


@pytest.fixture
def bundle(root: Path, tmp_path: Path) -> Path:
    """A copy of the bundle with small changes: weights with a new head, a manifest of their parent, an evaluation."""
    source, folder = root / "bundles/head_ct_hemorrhage", tmp_path / "bundle"
    for part in ("configs", "docs"):
        shutil.copytree(source / part, folder / part)
    (folder / "models").mkdir()
    torch.manual_seed(0)
    network = HemorrhageNet(segmentation=True)
    torch.save(network.state_dict(), folder / "models/model.pt")
    network.segmentation = None
    torch.save(network.state_dict(), tmp_path / "parent.pt")
    manifest = json.loads((source / "models/manifest.json").read_text())
    manifest["metrics"] = {"hemorrhage": manifest["metrics"]["hemorrhage"]}
    manifest |= {"sha256": sha256_of(tmp_path / "parent.pt"), "training_data": "phantom: some heads"}
    (folder / "models/manifest.json").write_text(json.dumps(manifest))
    report = {"weights_sha256": sha256_of(folder / "models/model.pt"), "lesions": LESIONS}
    (tmp_path / "evaluation.json").write_text(json.dumps(report))
    (tmp_path / "model_card_section.md").write_text("- Bleeds found.\n")
    return folder


def extend(bundle: Path) -> str:
    above = bundle.parent
    arguments = ["extend", str(above / "parent.pt"), "--data", "; head on others", "--command", "x", "--commit", "abc"]
    arguments += ["--evaluation", str(above / "evaluation.json"), "--bundle", str(bundle)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return "" if done.exit_code == 0 else " ".join(done.output.split())


def test_figures_and_calibration_of_the_parent_stay(bundle: Path) -> None:
    before = yaml.safe_load((bundle / "configs/calibration.yaml").read_text())
    parent = load_manifest(bundle)
    assert extend(bundle) == ""
    manifest = load_manifest(bundle)
    assert (manifest.sha256, manifest.parent_weights) == (sha256_of(bundle / "models/model.pt"), parent.sha256)
    assert manifest.training_data == "phantom: some heads; head on others"
    assert manifest.metrics["hemorrhage"] == parent.metrics["hemorrhage"]
    assert set(manifest.metrics) == {"hemorrhage", "lesions_10", "dice"}
    card = (bundle / "docs/README.md").read_text()
    assert shown_metrics(card) == metrics_table(manifest)
    assert "- Bleeds found." in card
    after = yaml.safe_load((bundle / "configs/calibration.yaml").read_text())
    assert after["scale"] == before["scale"]
    assert after["weights_sha256"] == manifest.sha256


def test_another_trunk_needs_figures_of_its_own(bundle: Path) -> None:
    state = torch.load(bundle / "models/model.pt", weights_only=True)
    state["volume.bias"] += 1e-6
    torch.save(state, bundle / "models/model.pt")
    report = json.loads((bundle.parent / "evaluation.json").read_text())
    report["weights_sha256"] = sha256_of(bundle / "models/model.pt")
    (bundle.parent / "evaluation.json").write_text(json.dumps(report))
    assert "volume.bias" in extend(bundle)


def test_figures_of_other_weights_are_refused(bundle: Path) -> None:
    torch.save(HemorrhageNet(segmentation=True).state_dict(), bundle / "models/model.pt")
    assert "measured other weights" in extend(bundle)
