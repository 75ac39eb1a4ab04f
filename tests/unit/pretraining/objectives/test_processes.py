"""Two processes with half of a batch each are one process with the whole: losses, gradients, queues, prototypes."""

from pathlib import Path

import pytest
import torch
from torch import multiprocessing

from tests.unit.pretraining.objectives.processes import CASES, JOINT_BATCH, STEPS, Result, build, run, train

WORLD = 2


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, int], Result]]:
    """The results of each process."""
    folder = tmp_path_factory.mktemp("gloo")
    multiprocessing.spawn(run, args=(WORLD, str(folder)), nprocs=WORLD)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.parametrize(("name", "dimensions"), CASES)
def test_two_processes_are_one_with_the_joint_batch(
    name: str, dimensions: int, ranks: list[dict[tuple[str, int], Result]]
) -> None:
    objective = build(name, dimensions)
    joint = train(objective, objective, dimensions, slice(0, JOINT_BATCH))
    parts = [rank[name, dimensions] for rank in ranks]
    smallest = min(gradient.abs().max().item() for gradient in joint["gradients"][0].values())
    assert smallest > 1e-5, "a gradient that is zero anyway shows nothing"
    for step in range(STEPS):
        mean = sum(part["losses"][step] for part in parts) / WORLD
        assert mean == pytest.approx(joint["losses"][step], abs=1e-9)
        for part in parts:
            assert part["gradients"][step].keys() == joint["gradients"][step].keys()
            for parameter, gradient in joint["gradients"][step].items():
                assert torch.allclose(part["gradients"][step][parameter], gradient, rtol=1e-7, atol=1e-9), parameter
    for part in parts:
        assert part["state"].keys() == joint["state"].keys()
        for tensor, value in joint["state"].items():
            assert torch.allclose(part["state"][tensor], value, rtol=1e-7, atol=1e-9), tensor


def test_the_comparison_reaches_queues_prototypes_and_the_momentum_encoder() -> None:
    """The steps are enough to fill a queue, and what is compared has moved from where it began."""
    objective = build("swav_by_modality", 2)
    state = train(objective, objective, 2, slice(0, JOINT_BATCH))["state"]
    assert state["queues.filled"].tolist() == [7, 7, 2]
    for name, tensor in (("swav", "prototypes.vectors"), ("moco", "key_encoder.output.weight"), ("moco", "queue")):
        objective = build(name, 2)
        before = objective.state_dict()[tensor].clone()
        after = train(objective, objective, 2, slice(0, JOINT_BATCH))["state"][tensor]
        assert not torch.allclose(before, after, atol=1e-4)
