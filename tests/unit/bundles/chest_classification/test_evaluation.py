"""Figures and comparisons against slow ones; calibration and operating points reach the files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from bundles.chest_classification.scripts import compare as comparing
from bundles.chest_classification.scripts.evaluation import (
    Measured,
    confusion_table,
    fit,
    mean_area,
    service_points,
    write_cases,
)
from bundles.chest_classification.scripts.findings import PHANTOM_FIVE
from bundles.chest_classification.scripts.panels import chosen_items, networks_of
from bundles.chest_classification.scripts.release import figures
from bundles.chest_classification.scripts.task import Task
from bundles.common.calibration import Cut
from bundles.common.metrics import area_under_roc

THREE = ("normal", "lung_lesion", "pneumothorax")


def measured(task: Task, classes: tuple[str, ...], *, seed: int = 0, images: int = 200) -> Measured:
    """Logits that tell a little; two images a patient."""
    generator = np.random.default_rng(seed)
    truth = np.random.default_rng(7)
    if task is Task.MULTI_CLASS:
        labels = np.eye(len(classes))[truth.integers(0, len(classes), images)]
    else:
        labels = (truth.random((images, len(classes))) < 0.4).astype(float)
        labels[::9, 0] = np.nan
    logits = 1.5 * np.nan_to_num(labels) + generator.standard_normal(labels.shape)
    odds = np.exp(logits)
    found = odds / odds.sum(axis=1, keepdims=True) if task is Task.MULTI_CLASS else odds / (1 + odds)
    names = tuple(f"image-{place}.png" for place in range(images))
    return Measured(classes, task, names, tuple(f"P{place // 2}" for place in range(images)), logits, found, labels)


def test_the_mean_area_is_that_of_the_classes() -> None:
    one = measured(Task.MULTI_LABEL, PHANTOM_FIVE)
    areas = []
    for place in range(5):
        known = ~np.isnan(one.labels[:, place])
        areas.append(area_under_roc(one.probabilities[known, place], one.labels[known, place] > 0.5))
    found = mean_area(one, 50)
    assert found["value"] == pytest.approx(np.mean(areas))
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize("task", list(Task))
def test_what_was_fitted_reaches_the_files_of_the_bundle(root: Path, tmp_path: Path, task: Task) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    shutil.copyfile(root / "bundles/chest_classification/configs/service.yaml", bundle / "configs/service.yaml")
    weights = tmp_path / "weights.pt"
    torch.save({}, weights)
    classes = PHANTOM_FIVE if task is Task.MULTI_LABEL else THREE
    fit(measured(task, classes), bundle_root=str(bundle), weights=str(weights), data="phantom: made up")
    scale = yaml.safe_load((bundle / "configs/calibration.yaml").read_text())["scale"]
    assert set(scale) == set(classes)
    assert all(factor > 0 for factor, _ in scale.values())
    if task is Task.MULTI_CLASS:
        assert len({tuple(pair) for pair in scale.values()}) == 1
        assert {offset for _, offset in scale.values()} == {0.0}
    service = yaml.safe_load((bundle / "configs/service.yaml").read_text())
    moved = {each["finding"] for each in service["findings"] if each["threshold"] != 0.5}
    expected = {"lung_consolidation", "interstitial_opacity", "pleural_effusion", "pneumothorax"}
    assert moved >= (expected if task is Task.MULTI_LABEL else {"pneumothorax"})


def test_operating_points_go_by_our_names() -> None:
    cuts = {"lung_consolidation": Cut(0.3, None), "pneumothorax": Cut(0.4, None)}
    assert service_points(cuts, ["normal", "consolidation", "edema"]) == {
        "normal": {},
        "consolidation": {"service": 0.3},
        "edema": {},
    }


def test_two_models_are_compared_as_the_paper_does(tmp_path: Path) -> None:
    runs = [measured(Task.MULTI_CLASS, THREE, seed=seed) for seed in (1, 2)]
    paths = [tmp_path / f"{number}.json" for number in (1, 2)]
    for run, path in zip(runs, paths, strict=True):
        write_cases(path, run)
    result = CliRunner().invoke(_app(), [*map(str, paths), "--replicates", "50", "--out", str(tmp_path / "out.json")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_text())
    calls = [run.probabilities.argmax(axis=1) for run in runs]
    table = np.zeros((3, 3), dtype=int)
    for first, second in zip(*calls, strict=True):
        table[first, second] += 1
    assert found["first_against_second"] == table.tolist()
    # Stuart 1955 with the last class left out, solved by hand for three classes.
    gaps = table.sum(axis=1) - table.sum(axis=0)
    covariance = np.diag(table.sum(axis=1) + table.sum(axis=0)) - table - table.T
    slow = gaps[:2] @ np.linalg.solve(covariance[:2, :2], gaps[:2])
    assert found["stuart_maxwell"]["statistic"] == pytest.approx(slow)
    assert found["stuart_maxwell"]["degrees_of_freedom"] == 2
    truth = runs[0].labels.argmax(axis=1)
    assert found["accuracy"] == [pytest.approx((call == truth).mean()) for call in calls]
    assert found["accuracy_difference"]["value"] == pytest.approx(found["accuracy"][0] - found["accuracy"][1])


def test_evaluations_of_other_images_are_not_compared(tmp_path: Path) -> None:
    one, other = measured(Task.MULTI_LABEL, PHANTOM_FIVE), measured(Task.MULTI_LABEL, PHANTOM_FIVE, images=100)
    write_cases(tmp_path / "one.json", one)
    write_cases(tmp_path / "other.json", other)
    result = CliRunner().invoke(_app(), [str(tmp_path / "one.json"), str(tmp_path / "other.json")])
    assert (result.exit_code, "are of other images" in result.output) == (1, True)
    result = CliRunner().invoke(_app(), [str(tmp_path / "none.json"), str(tmp_path / "other.json")])
    assert (result.exit_code, "none.json: expected cases.json" in result.output) == (1, True)


def test_a_confusion_is_a_table() -> None:
    assert confusion_table([[3, 1], [0, 2]], ["normal", "lung_lesion"]) == (
        "| Truth | normal | lung lesion |\n|---|---|---|\n| normal | 3 | 1 |\n| lung lesion | 0 | 2 |\n"
    )


def test_figures_that_are_not_defined_are_left_out() -> None:
    area = {"value": 0.9, "low": 0.8, "high": 0.95}
    none = dict.fromkeys(area)
    report = {
        "classification": {
            "lung_lesion": {"auroc": area, "positives": 3, "negatives": 4},
            "edema": {"auroc": none, "positives": 0, "negatives": 7},
        }
    }
    found = figures(report)
    assert list(found) == ["lung_lesion"]
    assert (found["lung_lesion"].label, found["lung_lesion"].positives) == ("Lung lesion in the image", 3)


def test_pages_want_images_and_models() -> None:
    items = [{"labels": [1.0, 0.0]}, {"labels": [1.0, 1.0]}]
    assert chosen_items(items, ("a", "b"), 1) == [(items[0], 0), (items[1], 1)]
    with pytest.raises(ValueError, match="nothing to look at"):
        chosen_items([{"labels": [0.0]}], ("a",), 1)
    with pytest.raises(ValueError, match="expected models"):
        networks_of(torch.nn.Identity(), {}, torch.device("cpu"), lambda _: None)


def _app():
    import typer

    app = typer.Typer()
    app.command()(comparing.main)
    return app
