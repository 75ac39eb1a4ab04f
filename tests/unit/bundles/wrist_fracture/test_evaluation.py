"""An evaluation measures what the paper reports, with intervals, and whether the region points at the fracture."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from bundles.common.manifest import sha256_of
from bundles.wrist_fracture.scripts.evaluation import about, points_at
from bundles.wrist_fracture.scripts.network import WristFractureNet

Run = Callable[..., ConfigParser]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(WristFractureNet().state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def test_an_evaluation_writes_json_pictures_and_a_card(
    tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path], run_config: Run
) -> None:
    datalist, out = make_datalist(tmp_path / "images"), tmp_path / "out"
    where = {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(out)}
    run_config("evaluate", **where, weights=str(weights), replicates=20, examples=3)
    written = json.loads((out / "evaluation.json").read_text())
    assert (written["weights_sha256"], written["data"]) == (sha256_of(weights), "images, test")
    found = written["classification"]["fracture"]
    assert (found["positives"], found["negatives"], found["patients"]) == (4, 4, 8)
    assert found["auroc"]["low"] <= found["auroc"]["value"] <= found["auroc"]["high"]
    chosen = found["points"]["sensitivity = specificity on validation"]
    assert chosen["chosen_on"] == "elsewhere"
    assert {"accuracy", "sensitivity", "specificity"} <= set(chosen["figures"])
    assert written["extra"]["grad_cam"]["images_with_boxes"] == 4
    names = {"evaluation.json", "model_card_section.md", "roc.png", "precision_recall.png", "reliability.png"}
    assert {path.name for path in out.iterdir()} == {*names, "examples.png"}


def test_a_given_threshold_is_measured_as_it_is(
    tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path], run_config: Run
) -> None:
    datalist, out = make_datalist(tmp_path / "images"), tmp_path / "out"
    where = {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(out)}
    run_config("evaluate", **where, weights=str(weights), replicates=0, examples=0, threshold=0.25)
    points = json.loads((out / "evaluation.json").read_text())["classification"]["fracture"]["points"]
    assert (points["given"]["threshold"], points["probability 0.5"]["threshold"]) == (0.25, 0.5)


@pytest.mark.parametrize(("patient", "name"), [("PHANTOM-wrist-7", "phantom: set, test"), ("7", "set, test")])
def test_phantoms_are_called_phantoms(tmp_path: Path, weights: Path, patient: str, name: str) -> None:
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"name": "set", "test": [{"patient": patient}]}))
    assert about(str(weights), str(path), "test").data == name
    assert about(str(weights), str(path), "test", "Phantom of mine").data.lower().startswith("phantom of mine") is True


@pytest.mark.parametrize(
    ("regions", "hit"), [([[0, 0, 8, 8]], True), ([[0, 0, 30, 30]], False), ([], False), ([[9, 9, 30, 30]], True)]
)
def test_a_region_points_where_its_middle_is(regions: list[list[float]], hit: bool) -> None:
    assert points_at(regions, [[2, 2, 6, 6], [18, 18, 21, 21]]) is hit
