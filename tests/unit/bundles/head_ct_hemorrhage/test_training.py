"""Checkpoints go on, the best is kept, areas are gathered, cases are read."""

import json
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from bundles.common.mixed_precision import Autocast
from bundles.head_ct_hemorrhage.scripts.baseline import bright_share
from bundles.head_ct_hemorrhage.scripts.training import (
    KeepBest,
    MultiTaskAuc,
    Resume,
    load_cases,
    task_auc,
    warm_cosine,
)

NAN = float("nan")


def trainer(network: nn.Module, seen: list[int]) -> Engine:
    def step(engine: Engine, _: object) -> None:
        seen.append(engine.state.epoch)
        with torch.no_grad():
            network.weight += 1

    return Engine(step)


def test_a_killed_run_goes_on_with_the_epoch_after_its_last(tmp_path: Path) -> None:
    first, seen = nn.Linear(1, 1), []
    engine = trainer(first, seen)
    Resume(str(tmp_path), {"network": first}).attach(engine)
    engine.run([0, 0], max_epochs=2)
    second = nn.Linear(1, 1)
    engine = trainer(second, seen)
    Resume(str(tmp_path), {"network": second}).attach(engine)
    engine.run([0, 0], max_epochs=3)
    assert seen == [1, 1, 2, 2, 3, 3]
    assert torch.equal(second.weight, first.weight + 2)
    assert not list(tmp_path.glob("*.tmp"))


def test_processes_that_do_not_write_still_load(tmp_path: Path) -> None:
    engine = trainer(network := nn.Linear(1, 1), [])
    Resume(str(tmp_path), {"network": network}, save=False).attach(engine)
    engine.run([0], max_epochs=1)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_only_a_better_epoch_replaces_the_best(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    for value, kept in ((0.5, 0.5), (0.9, 0.9), (0.7, 0.9), (NAN, 0.9)):
        engine = Engine(lambda *_: None)
        KeepBest(network, str(tmp_path), epoch=lambda: 4).attach(engine)
        engine.state.metrics = {"score": value}
        engine.run([0])
        engine.state.metrics = {}
        assert json.loads((tmp_path / "best.json").read_text()) == {"epoch": 4, "score": kept}


def test_learning_rate_rises_then_falls() -> None:
    factor = warm_cosine(100, warm=0.2)
    values = [factor(step) for step in range(130)]
    assert values[0] == pytest.approx(0.04)
    assert max(values) == values[20] == pytest.approx(1)
    assert values[20:101] == sorted(values[20:101], reverse=True)
    assert values[100] == values[129] == pytest.approx(0.001)


def test_areas_leave_out_unknown_labels() -> None:
    scores = torch.tensor([[3.0, 1.0], [2.0, 0.0], [1.0, 5.0]]).numpy()
    truths = torch.tensor([[1.0, 0.0], [NAN, 1.0], [0.0, NAN]]).numpy()
    assert task_auc("types", scores, truths) == pytest.approx(0.5)
    assert task_auc("slices", scores, truths) == pytest.approx(2 / 4)


def test_score_is_the_mean_of_volume_and_types() -> None:
    metric = MultiTaskAuc()
    logits = {"hemorrhage": torch.tensor([[1.0], [0.0]]), "types": torch.zeros(2, 5), "slices": torch.zeros(2, 4)}
    targets = {"hemorrhage": torch.tensor([[1.0], [0.0]]), "types": torch.eye(5)[:2], "slices": torch.zeros(2, 4)}
    metric.update((logits, targets))
    assert metric.compute() == pytest.approx((1.0 + 0.5) / 2)


def test_autocast_answers_in_float32() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": self.layer(x)}

    network = Two()
    image = torch.rand(3, 4)
    assert Autocast(network, "cpu")(image)["out"].dtype == torch.float32
    assert torch.equal(Autocast(network, "cpu", enabled=False)(image)["out"], network(image)["out"])


def test_cases_come_with_absolute_paths_and_known_labels_only(tmp_path: Path) -> None:
    cases = [{"image": "a.nii.gz", "label": 1, "types": None, "seed": 3}, {"image": "b.nii.gz"}]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": cases}))
    loaded = load_cases(str(tmp_path / "datalist.json"), "training")
    assert loaded == [{"image": str(tmp_path / "a.nii.gz"), "label": 1}, {"image": str(tmp_path / "b.nii.gz")}]
    assert len(load_cases(str(tmp_path / "datalist.json"), "training", limit=1)) == 1
    with pytest.raises(ValueError, match="no cases in 'test'"):
        load_cases(str(tmp_path / "datalist.json"), "test")


def test_baseline_sees_blood_and_neither_noise_nor_bone() -> None:
    torch.manual_seed(0)
    box = 33 + 6 * torch.randn(1, 4, 64, 64)
    assert bright_share(box) == 0
    box[:, :, :3] = 900
    assert bright_share(box) == 0
    box[0, 1, 30:42, 30:42] = 70
    assert 0.4 * 144 < bright_share(box) * box.numel() < 1.6 * 144
