"""The configurations: images by heart in both tasks, a killed run, a frozen encoder, an evaluation and its page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser

from bundles.chest_classification.scripts.compare import compare, read_cases
from tests.unit.bundles.chest_classification.conftest import CLASSES

Run = Callable[..., ConfigParser]
THREE = ["normal", *CLASSES]
LONG = {"epochs": 50, "val_interval": 50, "save_interval": 50, "batch_size": 6, "learning_rate": 0.001}


def where(folder: Path, datalist: Path) -> dict[str, str]:
    return {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(folder)}


def checkpoint(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


@pytest.mark.parametrize("task", ["multi_label", "multi_class"])
def test_images_are_learned_by_heart_measured_compared_and_looked_at(
    tmp_path: Path, make_datalist: Callable[[Path], Path], run_config: Run, task: str
) -> None:
    datalist = make_datalist(tmp_path / "images")
    what = {"task": task, "classes": CLASSES if task == "multi_label" else THREE}
    run_config("train", **where(tmp_path / "run", datalist), **LONG, **what, **{"train::random_transforms": []})
    best = json.loads((tmp_path / "run/best.json").read_text())
    # Two steps an epoch: the statistics of the batches lag behind the weights, and a rank may be wrong.
    assert best["epoch"] == 50
    assert best["auroc"] >= 0.85
    weights = str(tmp_path / "run/best.pt")

    measured = where(tmp_path / "evaluation", datalist) | {"weights": weights, "replicates": 20, **what}
    run_config("evaluate", **measured)
    report = json.loads((tmp_path / "evaluation/evaluation.json").read_text())
    assert report["extra"]["task"] == task
    # The same images as in validation: training and evaluation say the same of the same weights, but for two images
    # that are as good as equal and may change places (one pair of three and six images, in one of three classes).
    assert report["extra"]["mean_auroc"]["value"] == pytest.approx(best["auroc"], abs=1 / 18 / 3 + 1e-5)
    assert list(report["classification"]) == what["classes"]
    assert (tmp_path / "evaluation/examples.png").is_file()
    if task == "multi_class":
        confusion = report["extra"]["confusion"]
        assert [sum(row) for row in confusion] == [3, 3, 3]
        right = sum(confusion[place][place] for place in range(3))
        assert report["extra"]["accuracy"]["value"] == pytest.approx(right / 9, abs=1e-6)
        assert right >= 6
        assert (tmp_path / "evaluation/confusion.md").is_file()
    text = (tmp_path / "evaluation/cases.json").read_text()
    assert "test " not in text
    assert ".png" not in text
    cases = read_cases(tmp_path / "evaluation/cases.json")
    same = compare(cases, cases, replicates=20)
    assert {one["auroc"]["value"] for one in same["classes"].values()} == {0.0}
    assert same.get("stuart_maxwell", {"p": 1.0})["p"] == 1.0

    models = {"models": {"first": weights, "again": weights}, "output_dir": str(tmp_path / "page")}
    run_config("evaluate", "panels", **(measured | models))
    page = (tmp_path / "page/grad_cam.md").read_text()
    assert "where first, again looked" in page
    assert (tmp_path / "page/grad_cam.png").stat().st_size > 10_000

    source = {"input": str(tmp_path / "images/1.png"), "weights": weights, "output_dir": str(tmp_path / "out")}
    run_config("inference", **source, **what)
    (written,) = (tmp_path / "out").rglob("*.json")
    found = json.loads(written.read_text())
    of_evaluation = dict(zip(what["classes"], cases["probabilities"][1], strict=True))
    assert found["probabilities"] == pytest.approx(of_evaluation, abs=1e-3)
    assert set(found["probabilities"]) == set(what["classes"])
    assert found["regions"]
    for left, upper, end, lower in found["regions"].values():
        assert 0 <= left < end <= 120
        assert 0 <= upper < lower <= 120


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_ends_as_one_that_was_not(
    tmp_path: Path, make_datalist: Callable[[Path], Path], configured: Run, run_config: Run, killed_after: int
) -> None:
    datalist = make_datalist(tmp_path)
    same = {"epochs": 3, "head_epochs": 1, "batch_size": 4, "dropout": 0.2}
    run_config("train", **where(tmp_path / "whole", datalist), **same)
    killed = configured("train", **where(tmp_path / "killed", datalist), **same)
    killed.get_parsed_content("initialize")
    trainer = killed.get_parsed_content("train::trainer")
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=killed_after), trainer.terminate)
    trainer.run()
    torch.rand(3)  # what happens in between must not matter
    run_config("train", **where(tmp_path / "killed", datalist), **same)
    expected, found = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    assert (expected["epoch"], found["epoch"]) == (3, 3)
    assert all(torch.equal(value, found["network"][name]) for name, value in expected["network"].items())


def test_a_held_encoder_stays_as_it_is(
    tmp_path: Path, make_datalist: Callable[[Path], Path], configured: Run, run_config: Run
) -> None:
    places = where(tmp_path / "run", make_datalist(tmp_path))
    fresh = configured("train", **places)
    fresh.get_parsed_content("initialize")
    start = {name: value.clone() for name, value in fresh.get_parsed_content("network").state_dict().items()}
    run_config("train", **places, epochs=1, head_epochs=1, batch_size=4)
    after = checkpoint(tmp_path / "run")["network"]
    moved = {name for name, value in after.items() if not torch.equal(value, start[name])}
    assert moved == {name for name in start if name.startswith("head.")}


@pytest.mark.parametrize("overlay", ["multi_label", "multi_class"])
def test_the_papers_settings_build_their_network_and_learn_a_step(configured: Run, overlay: str) -> None:
    parser = configured("train", overlay)
    del parser.config["classes"]
    original = ConfigParser()
    original.read_config(f"bundles/chest_classification/configs/{overlay}.yaml")
    parser["classes"] = original["classes"]
    network, loss = parser.get_parsed_content("network"), parser.get_parsed_content("loss")
    labels = torch.eye(len(original["classes"]))[:2]
    found = loss(network.train()(torch.rand(2, 1, 64, 64)), labels)
    found.backward()
    assert (original["backbone"], original["size"]) == ("resnet50", 512)
    assert torch.isfinite(found)
    assert all(parameter.grad is not None for parameter in network.parameters())
