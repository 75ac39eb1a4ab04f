"""What one process of several does in ``test_processes``: every case in turn, so that processes start only once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pretraining.objectives.heads import linear_head
from pretraining.objectives.hybrid import Hybrid
from pretraining.objectives.moco import MoCo
from pretraining.objectives.objective import Objective
from pretraining.objectives.simclr import SimCLR
from pretraining.objectives.supervised import ClassHead, MaskHead
from pretraining.objectives.swav import SwAV
from tests.unit.pretraining.objectives.networks import FEATURES, TinyEncoder, random_crops

Result = dict[str, object]

JOINT_BATCH = 6
STEPS = 4
# The second process has no sample of modality 0, and modality 2 comes and goes.
GROUPS = ([0, 0, 1, 1, 1, 1], [0, 0, 0, 2, 1, 1], [0, 0, 1, 1, 2, 1], [0, 1, 0, 1, 1, 1])


def simclr(dimensions: int) -> Objective:
    return SimCLR(TinyEncoder(dimensions), FEATURES, head=linear_head(FEATURES, 5), temperature=0.2)


def moco(dimensions: int) -> Objective:
    return MoCo(TinyEncoder(dimensions), FEATURES, head=linear_head(FEATURES, 5), queue_length=12, momentum=0.8)


def swav(dimensions: int) -> Objective:
    return SwAV(TinyEncoder(dimensions), FEATURES, head=linear_head(FEATURES, 5), prototypes=4, queue_length=7)


def swav_by_modality(dimensions: int) -> Objective:
    head = linear_head(FEATURES, 5)
    return SwAV(TinyEncoder(dimensions), FEATURES, head=head, prototypes=4, modalities=3, queue_length=7)


def _maps(encoder: nn.Module, images: Tensor) -> Sequence[Tensor]:
    assert isinstance(encoder, TinyEncoder)
    return [encoder.maps(images)]


def hybrid(dimensions: int) -> Objective:
    heads = {"kind": ClassHead(FEATURES, 3), "mask": MaskHead([4], 1, dimensions, width=3)}
    return Hybrid(swav_by_modality(dimensions), heads, 0.7, 2.0, feature_maps=_maps)


BUILDERS: dict[str, Callable[[int], Objective]] = {
    builder.__name__: builder for builder in (simclr, moco, swav, swav_by_modality, hybrid)
}
CASES = [(name, dimensions) for name in BUILDERS for dimensions in (2, 3)]


def labels_of(images: Tensor) -> dict[str, Tensor]:
    """Labels of the joint batch; the second half has a class label only once, and no mask."""
    masks = torch.full_like(images, torch.nan)
    masks[1] = (images[1] > 0.5).to(images.dtype)
    return {"kind": torch.tensor([2.0, torch.nan, 0.0, torch.nan, 1.0, torch.nan]), "mask": masks}


def train(objective: Objective, forward: nn.Module, dimensions: int, own: slice) -> Result:
    """Some steps on this process's share of the joint batch; clustering objectives get a third, smaller crop.

    Returns:
        losses of the steps, gradients of the first and the last, the last state.
    """
    optimiser = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=0.3, momentum=0.9)
    losses, gradients = [], []
    sides = (6, 6) if isinstance(objective, SimCLR | MoCo) else (6, 6, 5)
    for step in range(STEPS):
        crops = random_crops(dimensions, JOINT_BATCH, sides, seed=step)
        labels = {name: values[own] for name, values in labels_of(crops[0]).items()}
        output = forward([crop[own] for crop in crops], torch.tensor(GROUPS[step])[own], labels)
        optimiser.zero_grad()
        output.loss.backward()
        losses.append(output.loss.item())
        named = objective.named_parameters()
        gradients.append({name: p.grad.clone() for name, p in named if p.grad is not None})
        objective.before_optimizer_step(step)
        optimiser.step()
        objective.after_optimizer_step(step)
    return {"losses": losses, "gradients": gradients, "state": objective.state_dict()}


def build(name: str, dimensions: int) -> Objective:
    torch.manual_seed(3)
    return BUILDERS[name](dimensions).double()


def run(rank: int, world: int, folder: str) -> None:
    """One process: every case under DistributedDataParallel with gloo; results go to ``folder``."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    share = JOINT_BATCH // world
    own = slice(rank * share, (rank + 1) * share)
    results = {}
    for name, dimensions in CASES:
        objective = build(name, dimensions)
        results[name, dimensions] = train(objective, DistributedDataParallel(objective), dimensions, own)
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
