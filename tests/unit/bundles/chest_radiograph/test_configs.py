"""Inference and evaluation run from their configurations, with weights of any training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from bundles.chest_radiograph.scripts.network import ChestDetector
from bundles.common.checkpoints import load_weights

CONFIGS = "bundles/chest_radiograph/configs"
SMALL = {"size": 64, "channels": 16, "depth": 1, "device": "$torch.device('cpu')"}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(ChestDetector(channels=16, depth=1).state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def run(config: Path, **overrides: Any) -> None:
    parser = ConfigParser()
    parser.read_config(str(config))
    parser.update({**SMALL, **overrides})
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")


def test_inference_writes_a_result_for_every_image(
    root: Path, tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    make_datalist(images)
    out = tmp_path / "out"
    run(root / CONFIGS / "inference.yaml", input=str(images), output_dir=str(out), weights=str(weights))
    assert sorted(path.name for path in out.iterdir()) == [f"{number}.png.json" for number in range(8)]
    result = json.loads((out / "0.png.json").read_text())
    assert sorted(result["probabilities"]) == ["lesion", "pneumothorax"]
    assert all(0 <= value <= 1 for value in result["probabilities"].values())


def test_evaluation_writes_its_figures(
    root: Path, tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path]
) -> None:
    datalist = make_datalist(tmp_path)
    where = {"datalist": str(datalist), "image_dir": str(tmp_path), "output_dir": str(tmp_path), "replicates": 20}
    run(root / CONFIGS / "evaluate.yaml", weights=str(weights), **where)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert (report["images"], report["lesion_auc"]["positives"], report["lesion_auc"]["negatives"]) == (8, 4, 4)
    assert (report["pneumothorax_froc"]["positives"], report["pneumothorax_froc"]["images"]) == (4, 8)
    assert len(report["lesion_froc"]["sensitivity_at"]) == 9
    assert 0 <= report["lesion_average_precision"]["value"] <= 1


def test_missing_weights_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.pt is missing; train first"):
        load_weights(ChestDetector(channels=16, depth=1), str(tmp_path / "none.pt"))
