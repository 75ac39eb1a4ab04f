"""The loop: a killed and resumed run gives the same curve to the last bit; what goes wrong is told in words."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events

from pretraining import checkpoint
from pretraining.checkpoint import CheckpointError
from pretraining.objectives.hybrid import Hybrid
from pretraining.objectives.moco import MoCo
from pretraining.objectives.objective import Objective
from pretraining.objectives.simclr import SimCLR
from pretraining.objectives.supervised import MultiLabelHead
from pretraining.objectives.swav import SwAV
from pretraining.optim import Constant, WarmUpCosine, make_optimizer
from pretraining.progress import Curve, read_curve
from pretraining.trainer import PretrainingTrainer
from pretraining.views.pipeline import CropSpec, ViewPipeline
from tests.unit.pretraining.memory_feed import MemoryFeed, tiny_encoder

FEATURES = 8


def objective_of(kind: str, dimensions: int = 2) -> Objective:
    torch.manual_seed(3)
    encoder = tiny_encoder(dimensions)
    if kind == "simclr":
        return SimCLR(encoder, FEATURES)
    if kind == "moco":
        return MoCo(encoder, FEATURES, queue_length=16, bn_splits=2, momentum=0.9)
    swav = SwAV(encoder, FEATURES, prototypes=6, modalities=2, queue_length=8, queue_start_epoch=1, freeze_prototypes=3)
    return swav if kind == "swav" else Hybrid(swav, {"finding": MultiLabelHead(FEATURES, 1)})


def trainer_of(folder: Path, kind: str = "simclr", dimensions: int = 2, **changes: Any) -> PretrainingTrainer:
    objective = objective_of(kind, dimensions)
    size = (12,) * dimensions
    feed = changes.pop("feed", None) or MemoryFeed((16,) * dimensions, groups=2)
    settings: dict[str, Any] = {
        "device": "cpu",
        "max_epochs": 3,
        "feed": feed,
        "views": ViewPipeline([CropSpec(2, size)]),
        "objective": objective,
        "optimizer": make_optimizer("larc" if kind == "swav" else "sgd", objective, 0.05),
        "schedule": WarmUpCosine(0.05, 15, warm_up=2),
        "output_dir": folder,
        "checkpoint_every": 2,
        "train_handlers": [Curve(folder)],
    }
    return PretrainingTrainer(**(settings | changes))


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_curve(folder / "history.csv")]


class Stop(Exception):
    """Stands for a kill in a test of one process."""


def stop_after(trainer: PretrainingTrainer, step: int) -> None:
    def stop(engine: Any) -> None:
        if engine.state.iteration == step:
            raise Stop

    trainer.add_event_handler(Events.ITERATION_COMPLETED, stop)


@pytest.mark.parametrize("stopped_at", [1, 4, 7, 10, 13])
@pytest.mark.parametrize("kind", ["simclr", "moco", "swav", "hybrid"])
def test_a_stopped_run_goes_on_to_the_last_bit(tmp_path: Path, kind: str, stopped_at: int) -> None:
    trainer_of(tmp_path / "whole", kind).run()
    stopped = trainer_of(tmp_path / "parts", kind)
    stop_after(stopped, stopped_at)
    with pytest.raises(Stop):
        stopped.run()
    trainer_of(tmp_path / "parts", kind).run()
    assert len(losses(tmp_path / "whole")) == 15
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    left, right = (checkpoint.read(tmp_path / name / checkpoint.NAME) for name in ("whole", "parts"))
    assert left["objective"].keys() == right["objective"].keys()
    for name, tensor in left["objective"].items():
        assert torch.equal(tensor, right["objective"][name]), name


@pytest.mark.parametrize("kind", ["simclr", "moco", "swav"])
def test_volumes_train_and_resume(tmp_path: Path, kind: str) -> None:
    trainer_of(tmp_path / "whole", kind, 3).run()
    stopped = trainer_of(tmp_path / "parts", kind, 3)
    stop_after(stopped, 7)
    with pytest.raises(Stop):
        stopped.run()
    trainer_of(tmp_path / "parts", kind, 3).run()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    trainer_of(tmp_path).run()
    before = (tmp_path / checkpoint.NAME).read_bytes()
    again = trainer_of(tmp_path)
    ended: list[int] = []
    again.add_event_handler(Events.COMPLETED, lambda: ended.append(again.state.iteration))
    again.run()
    assert ended == [15]
    assert (tmp_path / checkpoint.NAME).read_bytes() == before


def test_more_epochs_go_on_where_the_run_ended(tmp_path: Path) -> None:
    trainer_of(tmp_path, max_epochs=1).run()
    trainer_of(tmp_path, max_epochs=2).run()
    assert [row["step"] for row in read_curve(tmp_path / "history.csv")] == list(range(1, 11))


def test_accumulated_batches_give_the_mean_gradient(tmp_path: Path) -> None:
    feed = MemoryFeed((16, 16), accumulate=2, steps_per_epoch=1)
    trainer = trainer_of(tmp_path, feed=feed, max_epochs=1, schedule=Constant(0.0))
    trainer.run()
    accumulated = [param.grad.clone() for param in trainer.objective.parameters()]

    expected = [torch.zeros_like(gradient) for gradient in accumulated]
    twin = trainer_of(tmp_path / "twin", feed=feed)
    for index in range(2):
        twin.objective.zero_grad()
        batch = feed.batch(index)
        crops = twin.views(batch, twin.generator).crops
        twin.objective(crops, batch.groups, batch.labels).loss.backward()
        expected = [total + param.grad / 2 for total, param in zip(expected, twin.objective.parameters(), strict=True)]
    for found, wanted in zip(accumulated, expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["simclr", "moco", "swav"])
def test_half_precision_trains(tmp_path: Path, kind: str, amp: str) -> None:
    trainer_of(tmp_path, kind, amp=amp).run()
    curve = losses(tmp_path)
    assert len(curve) == 15
    assert all(torch.isfinite(torch.tensor(curve)))


def test_a_small_epsilon_stays_finite_in_fp16(tmp_path: Path) -> None:
    torch.manual_seed(3)
    objective = SwAV(tiny_encoder(), FEATURES, prototypes=6, modalities=2, epsilon=0.003)
    trainer_of(tmp_path, objective=objective, optimizer=make_optimizer("larc", objective, 0.05), amp="fp16").run()
    assert all(torch.isfinite(torch.tensor(losses(tmp_path))))


def test_a_nan_in_an_image_names_it(tmp_path: Path) -> None:
    feed = MemoryFeed((16, 16), poison=6)
    key = feed.batch(6).keys[0]
    with pytest.raises(ValueError, match=f"{key} holds NaN"):
        trainer_of(tmp_path, feed=feed).run()
    assert checkpoint.read(tmp_path / checkpoint.NAME)["step"] == 6


def test_a_loss_that_is_no_number_names_step_and_images(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)

    def spoil(engine: Any) -> None:
        if engine.state.iteration == 4:
            with torch.no_grad():
                next(trainer.objective.parameters()).fill_(float("nan"))

    trainer.add_event_handler(Events.ITERATION_STARTED, spoil)
    with pytest.raises(FloatingPointError, match=r"step 4: SimCLR: the loss is nan.*The step held the images image\d+"):
        trainer.run()


def test_an_infinite_gradient_changes_nothing(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    weight = next(trainer.objective.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weight.detach().clone()
    with pytest.raises(FloatingPointError, match=r"step 1: the gradient's norm is (inf|nan); nothing was changed"):
        trainer.run()
    assert torch.equal(weight.detach(), before)


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    first = trainer_of(tmp_path)
    stop_after(first, 5)
    with pytest.raises(Stop):
        first.run()
    whole = (tmp_path / checkpoint.NAME).read_bytes()
    second = trainer_of(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, hard))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written \(File too large.*is whole\. Make room"):
            second.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / checkpoint.NAME).read_bytes() == whole
    assert [path.name for path in tmp_path.glob("*.tmp")] == []
    trainer_of(tmp_path).run()
    assert len(losses(tmp_path)) == 15


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"feed": MemoryFeed((16, 16), batch_size=6, groups=2)}, r"batch_size 4 \(now 6\)"),
        ({"feed": MemoryFeed((16, 16), steps_per_epoch=7, groups=2)}, r"steps_per_epoch 5 \(now 7\)"),
        ({"feed": MemoryFeed((16, 16), accumulate=2, groups=2)}, r"accumulate 1 \(now 2\)"),
        ({"amp": "bf16"}, r"amp off \(now bf16\)"),
    ],
)
def test_a_changed_run_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    trainer_of(tmp_path, max_epochs=1).run()
    with pytest.raises(CheckpointError, match=words):
        trainer_of(tmp_path, **change).run()


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    trainer_of(tmp_path, max_epochs=1).run()
    state = checkpoint.read(tmp_path / checkpoint.NAME)
    state["shape"]["world_size"] = 2
    checkpoint.write_durably(tmp_path / checkpoint.NAME, state)
    with pytest.raises(CheckpointError, match=r"world_size 2 \(now 1\).*--nproc_per_node"):
        trainer_of(tmp_path).run()


def test_another_objective_is_refused(tmp_path: Path) -> None:
    trainer_of(tmp_path, "simclr", max_epochs=1).run()
    with pytest.raises(CheckpointError, match="is of another training"):
        trainer_of(tmp_path, "moco").run()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trainer_of(tmp_path, max_epochs=1).run()
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt cannot be read.*delete it to start afresh"):
        trainer_of(tmp_path).run()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"amp": "half"}, "amp must be one of off, bf16, fp16"), ({"max_epochs": 0}, "1 or more")],
)
def test_settings_that_cannot_work(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trainer_of(tmp_path, **change)
