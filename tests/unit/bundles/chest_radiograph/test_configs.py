"""Inference and evaluation run from their configurations, with weights of any training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from PIL import Image

from bundles.chest_radiograph.scripts.network import ChestDetector
from bundles.common.checkpoints import load_weights
from bundles.common.contract import load_service
from bundles.common.manifest import sha256_of
from bundles.common.metrics.cases import read_cases
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import radiograph

CONFIGS = "bundles/chest_radiograph/configs"
SMALL = {"size": 64, "channels": 16, "depth": 1, "device": "$torch.device('cpu')"}

SERVICE = """\
title: Chest
reads: image
accepts: {Modality: CR}
findings:
- {finding: lung_lesion, probability: probabilities, index: 0, threshold: 0.5, regions: {index: 0, threshold: 0.5}}
- {finding: pneumothorax, probability: probabilities, index: 1, threshold: 0.5, regions: {index: 1, threshold: 0.5}}
"""


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


def test_images_that_cannot_be_read_do_not_stop_the_others(
    root: Path, tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    make_datalist(images)
    (images / "0.png").write_bytes((images / "0.png").read_bytes()[:60])
    Image.new("I;16", (2000, 1)).save(images / "strip.png")
    (whole,) = save(tmp_path / "whole", [radiograph("1")])
    (images / "cut.dcm").write_bytes(whole.read_bytes()[:-200])
    (images / "truth.json").write_text("{}")
    where = {"input": str(images), "output_dir": str(tmp_path / "out"), "weights": str(weights)}
    with pytest.raises(Exception, match=r"'evaluator'|'dataset'") as caught:
        run(root / CONFIGS / "inference.yaml", **where)
    told = str(caught.value.__cause__)
    assert told.startswith("3 of 10 images have no result\n0.png: ")
    assert "strip.png: " in told
    assert "cut.dcm: " in told
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{number}.png.json" for number in range(1, 8)
    ]


def test_a_folder_without_one_readable_image_is_an_error(root: Path, tmp_path: Path, weights: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("I;16", (2000, 1)).save(tmp_path / "images" / "strip.png")
    where = {"input": str(tmp_path / "images"), "output_dir": str(tmp_path / "out"), "weights": str(weights)}
    with pytest.raises(Exception, match="'dataset'") as caught:
        run(root / CONFIGS / "inference.yaml", **where)
    assert "1 of 1 images have no result" in str(caught.value.__cause__)


def test_evaluation_writes_figures_pictures_and_a_card(
    root: Path, tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path]
) -> None:
    datalist, out = make_datalist(tmp_path), tmp_path / "out"
    where = {"datalist": str(datalist), "image_dir": str(tmp_path), "output_dir": str(out), "replicates": 20}
    run(root / CONFIGS / "evaluate.yaml", weights=str(weights), examples=3, **where)
    report = json.loads((out / "evaluation.json").read_text())
    assert report["weights_sha256"] == sha256_of(weights)
    lesion = report["classification"]["lesion"]
    assert (lesion["cases"], lesion["positives"], lesion["negatives"]) == (8, 4, 4)
    assert lesion["auroc"]["low"] <= lesion["auroc"]["value"] <= lesion["auroc"]["high"]
    boxes = report["detection"]["pneumothorax"]
    assert (boxes["findings"], boxes["images"], len(boxes["rates"])) == (4, 8, 9)
    assert report["extra"]["boxed_images"]["pneumothorax"] == {"with": 4, "without": 4}
    assert 0 <= report["extra"]["mean_average_precision"]["value"] <= 1
    names = {"evaluation.json", "model_card_section.md", "roc.png", "precision_recall.png", "reliability.png"}
    assert {path.name for path in out.iterdir()} == {*names, "froc.png", "examples.png", "cases.csv"}


def test_changed_images_are_scored_otherwise_and_boxes_of_moved_ones_are_left_out(
    root: Path, tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path]
) -> None:
    where = {"datalist": str(make_datalist(tmp_path)), "image_dir": str(tmp_path), "replicates": 0, "examples": 0}
    scores, boxes = {}, {}
    for name, change in {"plain": {}, "dark": {"gamma": 2.5}, "turned": {"rotation_deg": 20}}.items():
        out = tmp_path / name
        run(root / CONFIGS / "evaluate.yaml", weights=str(weights), output_dir=str(out), **where, **change)
        scores[name] = [(case.case, case.score) for case in read_cases(out / "cases.csv")]
        boxes[name] = sorted(json.loads((out / "evaluation.json").read_text())["detection"])
    assert [case for case, _ in scores["plain"]] == [case for case, _ in scores["turned"]]
    assert scores["plain"] != scores["dark"] != scores["turned"] != scores["plain"]
    assert boxes == {"plain": ["lesion", "pneumothorax"], "dark": ["lesion", "pneumothorax"], "turned": []}


def test_what_is_fitted_on_validation_is_used_afterwards(
    root: Path, tmp_path: Path, weights: Path, make_datalist: Callable[[Path], Path]
) -> None:
    datalist, bundle, out = make_datalist(tmp_path), tmp_path / "bundle", tmp_path / "out"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs/service.yaml").write_text(SERVICE)
    where = {"datalist": str(datalist), "image_dir": str(tmp_path), "output_dir": str(out), "replicates": 0}
    same = {**where, "bundle_root": str(bundle), "weights": str(weights), "examples": 0}
    run(root / CONFIGS / "evaluate.yaml", **same, fit_calibration="true", false_boxes=2)
    assert not out.exists()
    fitted = yaml.safe_load((bundle / "configs/calibration.yaml").read_text())
    assert (list(fitted["scale"]), fitted["weights_sha256"]) == (["lesion", "pneumothorax"], sha256_of(weights))
    lesion, pneumothorax = load_service(bundle).findings
    assert lesion.regions is not None
    assert pneumothorax.regions is not None
    assert 0.5 not in {lesion.regions.threshold, pneumothorax.regions.threshold}
    run(root / CONFIGS / "evaluate.yaml", **same)
    report = json.loads((out / "evaluation.json").read_text())
    points = {name: found["points"]["service"] for name, found in report["classification"].items()}
    assert points["lesion"]["threshold"] == lesion.threshold
    assert points["pneumothorax"]["threshold"] == pneumothorax.threshold
    # The same images: what was balanced on them is balanced. (Of lesions these random weights know nothing.)
    figures = {key: value["value"] for key, value in points["pneumothorax"]["figures"].items()}
    assert figures["sensitivity"] == pytest.approx(figures["specificity"], abs=0.26)
    said = [note for note in report["notes"] if note.startswith("Boxes of lesion that the service can show")]
    assert len(said) == 1


def test_missing_weights_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.pt is missing; train first"):
        load_weights(ChestDetector(channels=16, depth=1), str(tmp_path / "none.pt"))
