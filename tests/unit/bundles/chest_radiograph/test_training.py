"""The training configuration learns eight images by heart, and a killed run goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from bundles.chest_radiograph.scripts.network import ChestDetector
from bundles.chest_radiograph.scripts.training import collate
from bundles.common.checkpoints import load_weights

CONFIG = "bundles/chest_radiograph/configs/train.yaml"
SMALL = {"size": 64, "channels": 32, "depth": 1, "bfloat16": False, "device": "$torch.device('cpu')"}


def configured(root: Path, folder: Path, datalist: Path, **overrides: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(root / CONFIG))
    parser.update({"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(folder)})
    parser.update({**SMALL, **overrides})
    return parser


def run(parser: ConfigParser) -> Any:
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    return parser.get_parsed_content("train::trainer")


@pytest.mark.timeout(1800)  # half a minute of one free core; many times that on a busy machine
def test_eight_images_are_learned_by_heart(root: Path, tmp_path: Path, make_datalist: Callable[[Path], Path]) -> None:
    epochs = 100
    rare = {"val_interval": epochs, "save_interval": epochs}
    plain = {"train::random_transforms": [], "epochs": epochs, "learning_rate": 0.002, **rare}
    run(configured(root, tmp_path / "run", make_datalist(tmp_path), **plain))
    best = json.loads((tmp_path / "run/best.json").read_text())
    assert best["epoch"] == epochs
    assert best["map"] > 0.95
    assert best["auc"] == 1
    load_weights(ChestDetector(channels=32, depth=1), str(tmp_path / "run/best.pt"))


def test_a_killed_run_goes_on_and_every_part_of_it(
    root: Path, tmp_path: Path, make_datalist: Callable[[Path], Path]
) -> None:
    datalist = make_datalist(tmp_path)
    first = configured(root, tmp_path / "run", datalist, epochs=1, batch_size=4, bfloat16=True)
    run(first)
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert sorted(state) == ["epoch", "lr_scheduler", "network", "optimizer"]
    second = configured(root, tmp_path / "run", datalist, epochs=2, batch_size=4, bfloat16=True)
    trainer = run(second)
    assert (trainer.state.epoch, trainer.state.iteration) == (2, 4)
    assert second.get_parsed_content("lr_scheduler").last_epoch == 4
    state = second.get_parsed_content("network").state_dict()
    assert [name for name, value in state.items() if not torch.isfinite(value.float()).all()] == []


def test_the_overlay_trains_on_regions_and_a_second_run_on_whole_images(
    root: Path, tmp_path: Path, make_datalist: Callable[[Path], Path]
) -> None:
    datalist = make_datalist(tmp_path)
    parser = ConfigParser()
    parser.read_config([str(root / CONFIG), str(root / CONFIG.replace("train", "regions"))])
    parser.update({"datalist": str(datalist), "image_dir": str(tmp_path), **SMALL, "region": 32, "epochs": 1})
    parser.update({"output_dir": str(tmp_path / "regions"), "cache_dir": str(tmp_path / "cache"), "batch_size": 4})
    run(parser)
    assert {tuple(item["image"].shape) for item in parser.get_parsed_content("train::dataset")} == {(1, 32, 32)}
    assert {tuple(item["image"].shape) for item in parser.get_parsed_content("validate::dataset")} == {(1, 64, 64)}
    start = {"initial_weights": str(tmp_path / "regions/best.pt"), "batch_size": 4, "epochs": 1}
    whole = configured(root, tmp_path / "whole", datalist, **start)
    assert {tuple(item["image"].shape) for item in whole.get_parsed_content("train::dataset")} == {(1, 64, 64)}
    assert run(whole).state.epoch == 1


def test_a_batch_keeps_lists_of_boxes_and_knows_whose_are_complete() -> None:
    nobody = float("nan")
    items = [
        {
            "image": torch.rand(1, 8, 8).half(),
            "boxes": torch.rand(2, 4),
            "classes": torch.tensor([0, 0]),
            "boxed": True,
        },
        {"image": torch.rand(1, 8, 8).half(), "boxes": torch.rand(1, 4), "classes": torch.tensor([1]), "boxed": False},
    ]
    labels = [torch.tensor([1.0, nobody]), torch.tensor([0.0, 1.0])]
    batch = collate([{**item, "labels": label} for item, label in zip(items, labels, strict=True)])
    assert batch["image"].shape == (2, 1, 8, 8)
    assert batch["image"].dtype == torch.float32
    assert [len(boxes) for boxes in batch["truth"].boxes] == [2, 1]
    assert batch["truth"].known.tolist() == [[True, False], [True, False]]
    assert batch["truth"].size == (8, 8)
