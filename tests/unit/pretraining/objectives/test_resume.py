"""A run that is saved, thrown away and taken up again goes on bit for bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pretraining.objectives.heads import mlp_head
from pretraining.objectives.hybrid import Hybrid
from pretraining.objectives.moco import MoCo
from pretraining.objectives.objective import Objective
from pretraining.objectives.simclr import SimCLR
from pretraining.objectives.supervised import MultiLabelHead
from pretraining.objectives.swav import SwAV
from tests.unit.pretraining.objectives.networks import FEATURES, TinyEncoder, random_crops

BATCH = 4


def simclr(dimensions: int) -> Objective:
    return SimCLR(TinyEncoder(dimensions, batch_norm=True), FEATURES, head=mlp_head(FEATURES, batch_norm=True))


def moco(dimensions: int, seed: int = 0) -> Objective:
    encoder = TinyEncoder(dimensions, batch_norm=True)
    return MoCo(encoder, FEATURES, queue_length=8, momentum=0.9, bn_splits=2, seed=seed)


def swav(dimensions: int, seed: int = 0) -> Objective:
    encoder = TinyEncoder(dimensions, batch_norm=True)
    settings = {"prototypes": 4, "modalities": 2, "queue_length": 3, "queue_start_epoch": 1, "freeze_prototypes": 1}
    return SwAV(encoder, FEATURES, head=mlp_head(FEATURES), seed=seed, **settings)


def hybrid(dimensions: int, seed: int = 0) -> Objective:
    return Hybrid(swav(dimensions, seed), {"label": MultiLabelHead(FEATURES, 1)}, 1.0, 0.5)


def train(objective: Objective, optimiser: torch.optim.Optimizer, steps: range, dimensions: int) -> list[Tensor]:
    """Losses of the given steps; epochs have two."""
    losses = []
    for step in steps:
        if step % 2 == 0:
            objective.start_epoch(step // 2)
        crops = random_crops(dimensions, BATCH, (6, 6), seed=step, dtype=torch.float32)
        label = {"label": torch.tensor([1.0, torch.nan, 0.0, 1.0])}
        loss = objective(crops, torch.tensor([0, 1, 0, 1]), label).loss
        optimiser.zero_grad()
        loss.backward()
        objective.before_optimizer_step(step)
        optimiser.step()
        objective.after_optimizer_step(step)
        losses.append(loss.detach())
    return losses


def start(build: Callable[..., Objective], dimensions: int, **seed: int) -> tuple[Objective, torch.optim.Optimizer]:
    torch.manual_seed(seed.get("seed", 0))
    objective = build(dimensions, **seed)
    return objective, torch.optim.SGD(objective.parameters(), lr=0.3, momentum=0.9)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("build", [simclr, moco, swav, hybrid])
@pytest.mark.parametrize("stop", [3, 4, 5])
def test_losses_and_state_go_on_bitwise(
    build: Callable[..., Objective], dimensions: int, stop: int, tmp_path: Path
) -> None:
    whole, optimiser = start(build, dimensions)
    losses = train(whole, optimiser, range(8), dimensions)
    assert len({loss.item() for loss in losses}) == 8, "a network that stands still shows nothing"

    first, optimiser = start(build, dimensions)
    train(first, optimiser, range(stop), dimensions)
    torch.save({"objective": first.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "checkpoint.pt")

    # Another seed: all that matters must come out of the file.
    second, optimiser = start(build, dimensions, **({} if build is simclr else {"seed": 7}))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    second.load_state_dict(saved["objective"])
    optimiser.load_state_dict(saved["optimiser"])
    assert train(second, optimiser, range(stop, 8), dimensions) == losses[stop:]
    actual = second.state_dict()
    assert all(torch.equal(value, actual[name]) for name, value in whole.state_dict().items())
