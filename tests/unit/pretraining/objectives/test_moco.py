"""InfoNCE against the paper's loop; the queue, the momentum encoder and the shuffle."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from pretraining.objectives.heads import linear_head, mlp_head
from pretraining.objectives.moco import MoCo, info_nce_logits
from tests.unit.pretraining.objectives import reference
from tests.unit.pretraining.objectives.networks import FEATURES, Constant, TinyEncoder, random_crops


def make(dimensions: int, *, batch_norm: bool = False, **settings: int | float) -> MoCo:
    torch.manual_seed(0)
    encoder = TinyEncoder(dimensions, batch_norm=batch_norm)
    return MoCo(encoder, FEATURES, head=mlp_head(FEATURES, dimension=5), **{"queue_length": 12, **settings}).double()


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 5),
    length=st.integers(1, 9),
    dimension=st.integers(2, 6),
    temperature=st.floats(0.02, 5),
    seed=st.integers(0, 1000),
)
def test_loss_is_the_papers(batch: int, length: int, dimension: int, temperature: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    queries, keys = (reference.unit(draw.normal(size=(batch, dimension))) for _ in range(2))
    queue = reference.unit(draw.normal(size=(length, dimension))).T
    logits = info_nce_logits(*map(torch.from_numpy, (queries, keys, queue)), temperature)
    loss = functional.cross_entropy(logits, torch.zeros(batch, dtype=torch.int64)).item()
    assert loss == pytest.approx(reference.info_nce(queries, keys, queue, temperature), abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_three_steps_follow_the_papers_queue_and_momentum(dimensions: int) -> None:
    """A run with an optimiser, beside the same quantities kept by hand."""
    objective = make(dimensions, momentum=0.7, temperature=0.3)
    optimiser = torch.optim.SGD(objective.parameters(), lr=0.5)
    queue = objective.queue.numpy().copy()
    assert np.linalg.norm(queue, axis=0) == pytest.approx(np.ones(12))
    followers = [parameter.detach().clone() for parameter in objective.encoder.parameters()]
    first = followers
    for step in range(3):
        crops = random_crops(dimensions, 4, (6, 6), seed=step)
        with torch.no_grad():
            queries = objective.head(objective.encoder(crops[0])).numpy()
            keys = objective.key_head(objective.key_encoder(crops[1])).numpy()
        loss = objective(crops).loss
        assert loss.item() == pytest.approx(reference.info_nce(queries, keys, queue, 0.3), abs=1e-6)
        queue[:, 4 * step : 4 * step + 4] = reference.unit(keys).T
        assert objective.queue.numpy() == pytest.approx(queue)
        assert int(objective.queue_position) == (4 * step + 4) % 12
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        objective.after_optimizer_step(step)
        pairs = zip(followers, objective.encoder.parameters(), strict=True)
        followers = [0.7 * follower + 0.3 * leader.detach() for follower, leader in pairs]
        for kept, actual in zip(followers, objective.key_encoder.parameters(), strict=True):
            assert torch.allclose(kept, actual, atol=1e-12)
            assert actual.grad is None
            assert not actual.requires_grad
    assert all(not torch.allclose(one, other) for one, other in zip(first, followers, strict=True))


def test_collapse_value_is_the_loss_of_a_constant_network() -> None:
    objective = MoCo(Constant(), FEATURES, head=linear_head(FEATURES, 5), queue_length=8).double()
    crops = random_crops(2, 4, (6, 6), seed=0)
    for _ in range(2):
        objective(crops)
    loss = objective(crops).loss.item()
    assert loss == pytest.approx(math.log(9), abs=1e-12)
    assert objective.collapse_value == pytest.approx(loss)


def test_evaluation_leaves_queue_and_shuffle_alone() -> None:
    objective = make(2).eval()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    objective(random_crops(2, 4, (6, 6), seed=0))
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


class Recorder(nn.Module):
    """Passes features on and keeps what came by."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, values: Tensor) -> Tensor:
        self.seen.append(values.detach().clone())
        return values


@pytest.mark.parametrize("dimensions", [2, 3])
def test_splits_normalise_shuffled_keys_apart_and_restore_their_order(dimensions: int) -> None:
    objective = make(dimensions, batch_norm=True, bn_splits=2)
    recorder = Recorder()
    objective.key_encoder = nn.Sequential(recorder, objective.key_encoder)
    crops = random_crops(dimensions, 6, (6, 6), seed=0)
    objective(crops)
    order = torch.cat(
        [(part.flatten(1)[:, None] == crops[1].flatten(1)).all(2).long().argmax(1) for part in recorder.seen]
    )
    assert [len(part) for part in recorder.seen] == [3, 3]
    assert sorted(order.tolist()) == list(range(6))
    assert set(order[:3].tolist()) != {0, 1, 2}, (
        "the first half of the keys was normalised with its own queries' images"
    )
    with torch.no_grad():
        expected = torch.empty(6, 5, dtype=torch.float64)
        for part in order.split(3):
            expected[part] = objective.key_head(objective.key_encoder(crops[1][part]))
    assert torch.allclose(objective.queue[:, :6].T, functional.normalize(expected, dim=1))


def test_queries_are_normalised_in_the_same_number_of_parts() -> None:
    objective = make(2, batch_norm=True, bn_splits=2)
    crops = random_crops(2, 4, (6, 6), seed=0)
    features = objective(crops).features
    assert features is not None
    expected = torch.cat([objective.encoder(part) for part in crops[0].split(2)])
    assert torch.allclose(features, expected)


def test_the_key_networks_running_statistics_are_its_own() -> None:
    objective = make(2, batch_norm=True, momentum=0.5)
    objective(random_crops(2, 4, (6, 6), seed=0))
    query, key = objective.encoder.stem[1], objective.key_encoder.stem[1]
    own = key.running_mean.clone()
    assert not torch.equal(query.running_mean, own)
    objective.after_optimizer_step(0)
    assert torch.equal(key.running_mean, own)


def test_queue_that_is_no_multiple_of_the_batch_is_refused() -> None:
    with pytest.raises(
        ValueError, match="queue of 12 keys is no multiple of the joint batch of 5 images; set queue_length to 10"
    ):
        make(2)(random_crops(2, 5, (6, 6), seed=0))


def test_batch_that_is_no_multiple_of_the_splits_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot normalise a batch of 4 images in 3 equal parts"):
        make(2, bn_splits=3)(random_crops(2, 4, (6, 6), seed=0))


def test_nan_names_the_objective_and_spares_the_queue() -> None:
    objective = make(2)
    crops = random_crops(2, 4, (6, 6), seed=0)
    crops[1][0, 0, 0, 0] = torch.nan
    before = objective.queue.clone()
    with pytest.raises(FloatingPointError, match="MoCo: the loss is nan"):
        objective(crops)
    assert torch.equal(objective.queue, before)
