"""The watch speaks in words when a network collapses, keeps silent when it learns, and remembers across a resume."""

import json
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import torch
from torch import Tensor, nn

from pretraining.objectives.hybrid import Hybrid
from pretraining.objectives.simclr import SimCLR
from pretraining.objectives.supervised import MultiLabelHead
from pretraining.objectives.swav import SwAV
from pretraining.optim import Constant, make_optimizer
from pretraining.progress import Curve, Lines, read_curve
from pretraining.trainer import PretrainingTrainer
from pretraining.views.pipeline import CropSpec, ViewPipeline
from pretraining.watch import CollapseWatch, measure
from tests.unit.pretraining.memory_feed import MemoryFeed, tiny_encoder

FEATURES = 8


class Collapsed(nn.Module):
    """The same features for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Parameter(torch.arange(1.0, 1.0 + FEATURES))

    def forward(self, images: Tensor) -> Tensor:
        return self.features.expand(len(images), -1)


def run(folder: Path, encoder: nn.Module, epochs: int = 2, steps: int = 6) -> list[Any]:
    torch.manual_seed(0)
    objective = SimCLR(encoder, FEATURES, head=None)
    objective.head = nn.Identity()  # type: ignore[assignment]
    watch = CollapseWatch(folder, objective, every=3)
    trainer = PretrainingTrainer(
        device="cpu",
        max_epochs=epochs,
        feed=MemoryFeed((16, 16), batch_size=8, steps_per_epoch=steps),
        views=ViewPipeline([CropSpec(2, (12, 12))]),
        objective=objective,
        optimizer=make_optimizer("sgd", objective, 0.0),
        schedule=Constant(0.0),
        output_dir=folder,
        train_handlers=[Curve(folder), watch, Lines(every=4)],
    )
    with structlog.testing.capture_logs() as logs:
        trainer.run()
    return [entry for entry in logs if entry["event"].startswith("pretraining_")]


def problems(logs: list[Any]) -> list[str]:
    return [entry["problem"] for entry in logs if entry["event"] == "pretraining_problem"]


def test_a_collapse_is_told_once_in_words_and_kept_in_the_summary(tmp_path: Path) -> None:
    logs = run(tmp_path, Collapsed())
    spread, rank = problems(logs)
    assert "the embeddings hardly differ (spread 0.000" in spread
    assert "the embeddings use 0.0 of 8 dimensions" in rank
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["problems"] == [spread, rank]
    assert summary["loss"] == pytest.approx(summary["collapse_value"], rel=1e-5)


def test_losses_before_a_resume_count(tmp_path: Path) -> None:
    run(tmp_path, Collapsed(), epochs=1, steps=110)
    logs = run(tmp_path, Collapsed(), epochs=2, steps=110)
    assert any("the loss has sat at ln(15) = 2.71 for 2" in words for words in problems(logs))


def test_a_network_that_tells_images_apart_is_left_in_peace(tmp_path: Path) -> None:
    assert problems(run(tmp_path, tiny_encoder())) == []


def test_lines_say_where_the_run_is(tmp_path: Path) -> None:
    logs = run(tmp_path, tiny_encoder())
    assert [(entry["event"], entry["step"]) for entry in logs] == [
        ("pretraining_started", 0),
        ("pretraining_step", 4),
        ("pretraining_step", 8),
        ("pretraining_step", 12),
    ]


def test_a_curve_cut_off_by_a_kill_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    run(tmp_path, tiny_encoder())
    path = tmp_path / "history.csv"
    path.write_text(path.read_text()[:-30])
    assert [row["step"] for row in read_curve(path)] == list(range(1, 12))


def test_prototypes_are_judged_in_the_modality_where_they_are_used_worst() -> None:
    objective = SwAV(tiny_encoder(), FEATURES, prototypes=4, modalities=2, temperature=0.01)
    first, second = objective.prototypes.of(0).detach(), objective.prototypes.of(1).detach()
    # The first modality uses all of its prototypes, the second one alone.
    embeddings = torch.cat([first, second[:1].repeat(4, 1)])
    groups = torch.tensor([0] * 4 + [1] * 4)
    assert measure(objective, embeddings, groups).usage == pytest.approx(0, abs=0.05)
    assert measure(objective, embeddings[:4], groups[:4]).usage == pytest.approx(1, abs=0.05)
    hybrid = Hybrid(objective, {"finding": MultiLabelHead(FEATURES, 1)})
    assert measure(hybrid, embeddings, groups).usage == measure(objective, embeddings, groups).usage
    assert measure(SimCLR(tiny_encoder(), FEATURES), embeddings, groups).usage is None
