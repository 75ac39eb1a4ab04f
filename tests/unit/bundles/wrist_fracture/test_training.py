"""The training configuration: eight images by heart, two phases, and a killed run that ends as an undisturbed one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser

from bundles.common.checkpoints import load_weights
from bundles.wrist_fracture.scripts.network import WristFractureNet

Run = Callable[..., ConfigParser]
State = dict[str, torch.Tensor]


def where(folder: Path, datalist: Path) -> dict[str, str]:
    return {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(folder)}


def checkpoint(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def moved(before: State, after: State) -> set[str]:
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


def test_eight_images_are_learned_by_heart_and_the_region_lies_on_the_mark(
    tmp_path: Path, make_datalist: Callable[[Path], Path], run_config: Run
) -> None:
    datalist = make_datalist(tmp_path / "images")
    lengths = {"head_epochs": 0, "all_epochs": 30, "val_interval": 30, "save_interval": 30}
    plain = {"train::random_transforms": [], "batch_size": 8, "learning_rate": 0.03}
    run_config("train", **where(tmp_path / "run", datalist), **lengths, **plain)
    best = json.loads((tmp_path / "run/best.json").read_text())
    assert best == {"epoch": 30, "auroc": 1.0, "accuracy": 1.0, "specificity": 1.0, "recall": 1.0}
    load_weights(WristFractureNet(), str(tmp_path / "run/best.pt"))
    out = tmp_path / "out"
    images = {"input": str(tmp_path / "images"), "weights": str(tmp_path / "run/best.pt"), "output_dir": str(out)}
    run_config("inference", **images)
    rows = json.loads(datalist.read_text())["test"]
    for row in rows:
        result = json.loads((out / f"{row['image']}.json").read_text())
        assert (result["fracture"] > 0.5) is bool(row["boxes"])
        for x0, y0, x1, y1 in row["boxes"]:
            left, top, right, bottom = result["region"]
            assert left <= (x0 + x1) / 2 <= right
            assert top <= (y0 + y1) / 2 <= bottom


def test_first_only_the_head_moves_then_everything(
    tmp_path: Path, make_datalist: Callable[[Path], Path], configured: Run, run_config: Run
) -> None:
    places = where(tmp_path / "run", make_datalist(tmp_path))
    fresh = configured("train", **places)
    fresh.get_parsed_content("initialize")
    start = {name: value.clone() for name, value in fresh.get_parsed_content("network").state_dict().items()}
    run_config("train", **places, head_epochs=1, all_epochs=0, batch_size=4)
    head = checkpoint(tmp_path / "run")["network"]
    assert moved(start, head) == {name for name in start if name.startswith("head.")}
    run_config("train", **places, head_epochs=1, all_epochs=1, batch_size=4)
    assert moved(head, checkpoint(tmp_path / "run")["network"]) == set(start)


@pytest.mark.parametrize(("killed_after", "workers"), [(1, 0), (2, 0), (2, 1)])
def test_a_killed_run_ends_as_one_that_was_not(  # noqa: PLR0917
    tmp_path: Path,
    make_datalist: Callable[[Path], Path],
    configured: Run,
    run_config: Run,
    killed_after: int,
    workers: int,
) -> None:
    datalist = make_datalist(tmp_path)
    same = {"head_epochs": 1, "all_epochs": 2, "batch_size": 4, "dropout": 0.2, "workers": workers}
    run_config("train", **where(tmp_path / "whole", datalist), **same)
    killed = configured("train", **where(tmp_path / "killed", datalist), **same)
    killed.get_parsed_content("initialize")
    trainer = killed.get_parsed_content("train::trainer")
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=killed_after), trainer.terminate)
    trainer.run()
    assert checkpoint(tmp_path / "killed")["epoch"] == killed_after
    torch.rand(3)  # what happens in between must not matter
    run_config("train", **where(tmp_path / "killed", datalist), **same)
    expected, found = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    assert (expected["epoch"], found["epoch"]) == (3, 3)
    assert moved(expected["network"], found["network"]) == set()
    momenta = [
        {str(key): value["momentum_buffer"] for key, value in state["optimizer"]["state"].items()}
        for state in (expected, found)
    ]
    assert len(momenta[0]) == len(momenta[1]) > 2
    assert moved(*momenta) == set()
    assert expected["lr_scheduler"] == found["lr_scheduler"]
