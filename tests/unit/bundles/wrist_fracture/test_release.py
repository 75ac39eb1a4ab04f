"""Weights go into the bundle in half precision, and only figures of these very weights into its manifest and card."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bundles.common.manifest import load_manifest, metrics_table, sha256_of, shown_metrics
from bundles.common.checkpoints import load_weights
from bundles.wrist_fracture.scripts.network import WristFractureNet
from bundles.wrist_fracture.scripts.release import app


@pytest.fixture
def bundle(tmp_path: Path, root: Path) -> Path:
    """A copy of the card, and weights that were put in."""
    card = root / "bundles" / "wrist_fracture" / "docs" / "README.md"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text(card.read_text())
    torch.manual_seed(0)
    torch.save(WristFractureNet().state_dict(), tmp_path / "best.pt")
    done = CliRunner().invoke(app, ["install", str(tmp_path / "best.pt"), "--bundle", str(tmp_path)])
    assert (done.exit_code, "22.4 MB" in done.output) == (0, True), done.output
    return tmp_path


def evaluation(folder: Path, sha256: str) -> Path:
    area = {"value": 0.97, "low": 0.95, "high": 0.99, "replicates": 500}
    found = {"auroc": area, "positives": 30, "negatives": 42}
    path = folder / "evaluation.json"
    path.write_text(json.dumps({"weights_sha256": sha256, "classification": {"fracture": found}}))
    return path


def describe(bundle: Path, sha256: str) -> tuple[int, str]:
    options = ["--data", "phantom: none", "--command", "make", "--commit", "abc", "--bundle", str(bundle)]
    done = CliRunner().invoke(app, ["describe", "--evaluation", str(evaluation(bundle, sha256)), *options])
    return done.exit_code, done.output


def test_weights_fit_and_the_card_shows_the_manifest_s_figures(bundle: Path) -> None:
    load_weights(WristFractureNet(), str(bundle / "models" / "model.pt"))
    code, output = describe(bundle, sha256_of(bundle / "models" / "model.pt"))
    assert code == 0, output
    manifest = load_manifest(bundle)
    assert (manifest.metrics["fracture"].value, manifest.metrics["fracture"].positives) == (0.97, 30)
    assert shown_metrics((bundle / "docs" / "README.md").read_text()) == metrics_table(manifest)


def test_figures_of_other_weights_are_refused(bundle: Path) -> None:
    code, output = describe(bundle, "0" * 64)
    assert code == 2
    assert "measured other weights" in " ".join(output.replace("│", " ").split())
    assert not (bundle / "models" / "manifest.json").exists()


def test_weights_that_overflow_in_half_precision_are_refused(tmp_path: Path) -> None:
    state = WristFractureNet().state_dict()
    state["head.2.weight"][0, 0] = 1e6
    torch.save(state, tmp_path / "best.pt")
    done = CliRunner().invoke(app, ["install", str(tmp_path / "best.pt"), "--bundle", str(tmp_path)])
    assert done.exit_code == 2
    assert "head.2.weight is not finite" in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "models").exists()
