"""An evaluation measures what the paper reports, with intervals, and whether the region points at the fracture."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from bundles.common.contract import load_service
from bundles.common.manifest import sha256_of
from bundles.common.radiograph.evaluation import about
from bundles.wrist_fracture.scripts.evaluation import points_at
from bundles.wrist_fracture.scripts.network import WristFractureNet

Run = Callable[..., ConfigParser]
SERVICE = """\
title: Wrist
accepts: {Modality: CR}
findings:
- {finding: wrist_fracture, probability: probabilities, threshold: 0.5, calibrated: true}
"""


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
    middle = found["points"]["probability 0.5"]
    assert middle["chosen_on"] == "elsewhere"
    assert {"accuracy", "sensitivity", "specificity"} <= set(middle["figures"])
    assert written["extra"]["grad_cam"]["images_with_boxes"] == 4
    names = {"evaluation.json", "model_card_section.md", "roc.png", "precision_recall.png", "reliability.png"}
    assert {path.name for path in out.iterdir()} == {*names, "examples.png", "cases.csv"}


def test_a_given_threshold_is_measured_as_it_is(
    tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path], run_config: Run
) -> None:
    datalist, out = make_datalist(tmp_path / "images"), tmp_path / "out"
    where = {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(out)}
    run_config("evaluate", **where, weights=str(weights), replicates=0, examples=0, threshold=0.25)
    points = json.loads((out / "evaluation.json").read_text())["classification"]["fracture"]["points"]
    assert (points["given"]["threshold"], points["probability 0.5"]["threshold"]) == (0.25, 0.5)


def test_what_is_fitted_on_validation_is_used_afterwards(
    tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path], run_config: Run
) -> None:
    datalist, bundle, out = make_datalist(tmp_path / "images"), tmp_path / "bundle", tmp_path / "out"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs/service.yaml").write_text(SERVICE)
    where = {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(out)}
    same = {**where, "bundle_root": str(bundle), "weights": str(weights), "replicates": 0, "examples": 0}
    run_config("evaluate", **same, fit_calibration="true")
    assert not out.exists()
    fitted = yaml.safe_load((bundle / "configs/calibration.yaml").read_text())
    assert (fitted["validation_cases"], fitted["weights_sha256"]) == (8, sha256_of(weights))
    threshold = load_service(bundle).findings[0].threshold
    assert threshold != 0.5
    run_config("evaluate", **same)
    points = json.loads((out / "evaluation.json").read_text())["classification"]["fracture"]["points"]
    # The same images: what was balanced on them is balanced.
    assert points["service"]["threshold"] == threshold
    figures = points["service"]["figures"]
    assert figures["sensitivity"]["value"] == pytest.approx(figures["specificity"]["value"], abs=0.26)
    factor, offset = fitted["scale"]["fracture"]
    run_config(
        "inference", **{key: same[key] for key in ("bundle_root", "weights", "output_dir")}, input=str(datalist.parent)
    )
    calibrated = json.loads(next(out.glob("*.png.json")).read_text())["fracture"]
    (bundle / "configs/calibration.yaml").unlink()
    run_config(
        "inference", **{key: same[key] for key in ("bundle_root", "weights", "output_dir")}, input=str(datalist.parent)
    )
    plain = json.loads(next(out.glob("*.png.json")).read_text())["fracture"]
    logit = math.log(plain / (1 - plain))
    assert calibrated == pytest.approx(1 / (1 + math.exp(-logit * factor - offset)), abs=2e-3)


@pytest.mark.parametrize(("patient", "name"), [("PHANTOM-wrist-7", "phantom: set, test"), ("7", "set, test")])
def test_phantoms_are_called_phantoms(tmp_path: Path, weights: Path, patient: str, name: str) -> None:
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"name": "set", "test": [{"patient": patient}]}))
    assert about("wrist_fracture", str(weights), str(path), "test").data == name
    assert about("wrist_fracture", str(weights), str(path), "test", "Phantom of mine").data == "Phantom of mine"


@pytest.mark.parametrize(("points", "hit"), [([[4, 4]], True), ([[15, 15]], False), ([], False), ([[19, 20]], True)])
def test_a_point_hits_the_box_it_lies_in(points: list[list[float]], hit: bool) -> None:
    assert points_at(points, [[2, 2, 6, 6], [18, 18, 21, 21]]) is hit
