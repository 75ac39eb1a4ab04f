"""Swapped prediction against the paper's loops; queues, prototypes, modalities."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pretraining.objectives.heads import ProjectionHead, linear_head
from pretraining.objectives.swav import SwAV
from tests.unit.pretraining.objectives import reference
from tests.unit.pretraining.objectives.networks import FEATURES, Constant, Flat, TinyEncoder, as_images, random_crops


def bare(dimension: int = FEATURES, **settings: object) -> SwAV:
    """An objective whose embeddings are the normalised images themselves."""
    head = ProjectionHead(OrderedDict(), dimension)
    return SwAV(Flat(), dimension, head=head, **{"prototypes": 5, **settings}).double()


def views_of(crops: int, batch: int, seed: int, dimension: int = FEATURES) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(crops, batch, dimension))


def as_crops(views: np.ndarray, dimensions: int = 2) -> tuple[Tensor, ...]:
    return tuple(as_images(torch.from_numpy(view), dimensions) for view in views)


def expected_loss(objective: SwAV, views: np.ndarray, queues: dict[int, np.ndarray], vectors: Tensor) -> float:
    return reference.swapped_prediction(
        views,
        vectors.detach().numpy(),
        queues,
        objective.assigned_crops,
        temperature=objective.temperature,
        epsilon=objective.epsilon,
        iterations=objective.sinkhorn_iterations,
    )


@settings(deadline=None, max_examples=30)
@given(
    crops=st.integers(2, 4),
    batch=st.integers(1, 5),
    prototypes=st.integers(2, 6),
    dimension=st.integers(2, 6),
    temperature=st.floats(0.05, 2),
    epsilon=st.floats(0.02, 1),
    assigned=st.sampled_from([(0,), (0, 1), (1,)]),
    seed=st.integers(0, 1000),
)
def test_loss_is_the_papers(
    *,
    crops: int,
    batch: int,
    prototypes: int,
    dimension: int,
    temperature: float,
    epsilon: float,
    assigned: tuple[int, ...],
    seed: int,
) -> None:
    objective = bare(
        dimension, prototypes=prototypes, temperature=temperature, epsilon=epsilon, assigned_crops=assigned, seed=seed
    )
    views = views_of(crops, batch, seed, dimension)
    expected = expected_loss(objective, views, {}, objective.prototypes.vectors)
    assert objective(as_crops(views)).loss.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_queues_fill_from_their_epoch_and_count_only_when_full(dimensions: int) -> None:
    """Queues of 5 rows and batches of 3: full after two steps of epoch 1; the oldest rows fall out."""
    objective = bare(queue_length=5, queue_start_epoch=1)
    kept: dict[int, np.ndarray] = {0: np.empty((0, FEATURES)), 1: np.empty((0, FEATURES))}
    used = []
    for epoch, step in [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5)]:
        objective.start_epoch(epoch)
        views = views_of(3, 3, seed=step)
        with torch.no_grad():  # the queues are scored with the prototypes of now
            objective.prototypes.vectors.add_(0.1 * step)
        queues = kept if len(kept[0]) == 5 else {}
        used.append(bool(queues))
        expected = expected_loss(objective, views, queues, objective.prototypes.vectors)
        assert objective(as_crops(views, dimensions)).loss.item() == pytest.approx(expected, abs=1e-6)
        if epoch == 1:
            kept = {i: np.concatenate([reference.unit(views[i]), kept[i]])[:5] for i in (0, 1)}
            for i in (0, 1):
                assert objective.queues.features[i, 0, : len(kept[i])].numpy() == pytest.approx(kept[i])
    assert used == [False, False, False, False, True, True]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_encoder_and_head_see_every_crop_of_any_shape(dimensions: int) -> None:
    torch.manual_seed(0)
    encoder, head = TinyEncoder(dimensions), linear_head(FEATURES, 5)
    objective = SwAV(encoder, FEATURES, head=head, prototypes=4).double()
    crops = random_crops(dimensions, 4, (8, 8, 5, 6, 5), seed=1)
    views = np.stack([head(encoder(crop)).detach().numpy() for crop in crops])
    output = objective(crops)
    expected = expected_loss(objective, views, {}, objective.prototypes.vectors)
    assert output.loss.item() == pytest.approx(expected, abs=1e-9)
    assert output.embeddings.numpy() == pytest.approx(reference.unit(views[0]))
    apart = SwAV(encoder, FEATURES, head=head, prototypes=4, stack_crops=False).double()
    assert apart(crops).loss.item() == pytest.approx(expected, abs=1e-9)


def test_modalities_are_clustered_as_in_separate_runs() -> None:
    """Disjoint sets, queues in use: losses weighted by the modality's samples, gradients and queues alike."""
    joint = bare(modalities=2, queue_length=4)
    alone = [bare(queue_length=4) for _ in range(2)]
    groups = torch.tensor([1, 0, 0, 1, 0])
    for m, each in enumerate(alone):
        each.prototypes.vectors.data = joint.prototypes.of(m).detach().clone()
    for step in range(3):
        views = views_of(3, 5, seed=step)
        loss = joint(as_crops(views), groups).loss
        losses = [each(as_crops(views[:, groups == m])).loss for m, each in enumerate(alone)]
        assert loss.item() == pytest.approx((3 * losses[0].item() + 2 * losses[1].item()) / 5, abs=1e-12)
        for m, each in enumerate(alone):
            assert torch.allclose(joint.queues.features[:, m], each.queues.features[:, 0], atol=1e-12)
    (gradient,) = torch.autograd.grad(loss, joint.prototypes.vectors)
    for m, share in ((0, 3 / 5), (1, 2 / 5)):
        (own,) = torch.autograd.grad(losses[m], alone[m].prototypes.vectors)
        assert torch.allclose(gradient[5 * m : 5 * m + 5], share * own, atol=1e-12)


def test_a_mask_over_one_set_equals_disjoint_sets_of_its_parts() -> None:
    mask = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 1, 1, 0]])
    masked = bare(modalities=2, prototype_sets=mask)
    views, groups = views_of(3, 6, seed=0), torch.tensor([0, 0, 1, 1, 0, 1])
    losses = []
    for m in (0, 1):
        vectors = masked.prototypes.vectors[mask[m].bool()]
        losses.append(expected_loss(masked, views[:, groups == m], {}, vectors))
    assert masked(as_crops(views), groups).loss.item() == pytest.approx(sum(losses) / 2, abs=1e-9)
    assert masked.collapse_value is None


def test_a_shared_set_is_shared_out_within_each_modality() -> None:
    shared = bare(modalities=2, prototype_sets="shared")
    views, groups = views_of(2, 6, seed=0), torch.tensor([0, 0, 1, 1, 0, 1])
    vectors = shared.prototypes.vectors
    assert vectors.shape == (5, FEATURES)
    losses = [expected_loss(shared, views[:, groups == m], {}, vectors) for m in (0, 1)]
    assert shared(as_crops(views), groups).loss.item() == pytest.approx(sum(losses) / 2, abs=1e-9)


def test_a_modality_missing_from_the_batch_is_left_out() -> None:
    joint = bare(modalities=3)
    views = views_of(2, 4, seed=0)
    loss = joint(as_crops(views), torch.tensor([0, 0, 2, 2])).loss
    losses = [
        expected_loss(joint, views[:, rows], {}, joint.prototypes.of(m)) for m, rows in ((0, [0, 1]), (2, [2, 3]))
    ]
    assert loss.item() == pytest.approx(sum(losses) / 2, abs=1e-9)
    (gradient,) = torch.autograd.grad(loss, joint.prototypes.vectors)
    assert gradient[5:10].abs().max() == 0


def test_prototypes_are_unit_vectors_without_bias_and_frozen_at_first() -> None:
    objective = bare(freeze_prototypes=2)
    assert [name for name, _ in objective.prototypes.named_parameters()] == ["vectors"]
    optimiser = torch.optim.SGD(objective.parameters(), lr=1.0, momentum=0.9, weight_decay=0.1)
    moved = []
    for step in range(4):
        before = objective.prototypes.vectors.detach().clone()
        optimiser.zero_grad()
        objective(as_crops(views_of(2, 4, seed=step))).loss.backward()
        assert objective.prototypes.vectors.detach().norm(dim=1).numpy() == pytest.approx(np.ones(5), abs=1e-6)
        objective.before_optimizer_step(step)
        optimiser.step()
        moved.append(not torch.allclose(before, objective.prototypes.vectors, atol=1e-6))
    assert moved == [False, False, True, True]


def test_a_constant_network_cannot_fall_below_the_entropy_of_its_codes() -> None:
    """Codes of identical images are uniform (Sinkhorn), so the loss is ln K or more; with equal scores it is ln K."""
    objective = SwAV(Constant(), FEATURES, head=linear_head(FEATURES, 5), prototypes=6).double()
    assert objective.collapse_value == pytest.approx(math.log(6))
    crops = random_crops(2, 4, (6, 6), seed=0)
    assert objective(crops).loss.item() >= math.log(6)
    objective.prototypes.vectors.data[:] = objective.prototypes.vectors.data[0]
    assert objective(crops).loss.item() == pytest.approx(math.log(6), abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prototypes": 1}, "at least 2 prototypes for every modality"),
        ({"modalities": 2, "prototype_sets": torch.tensor([[1, 1, 1, 1, 0], [0, 0, 0, 0, 1]])}, r"not \[4, 1\]"),
        ({"modalities": 2, "prototype_sets": torch.ones(3, 5)}, r"mask must be \(modalities, prototypes\) = \(2, 5\)"),
        ({"prototype_sets": "common"}, "'disjoint', 'shared' or a mask, not 'common'"),
        ({"epsilon": 0.0}, "epsilon above 0"),
        ({"assigned_crops": ()}, "assigned_crops must be different indices"),
        ({"assigned_crops": (0, 0)}, "assigned_crops must be different indices"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bare(**settings)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (None, "SwAV with 3 modalities needs groups of shape"),
        (torch.tensor([0, 1]), r"found shape \(2,\)"),
        (torch.tensor([0, 1, 2, 3]), "SwAV knows the modalities 0 to 2"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bare(modalities=3)(as_crops(views_of(2, 4, seed=0)), groups)


def test_batch_smaller_than_the_modalities_is_refused() -> None:
    with pytest.raises(ValueError, match="joint batch of 2 images is smaller than the number of modalities, 3"):
        bare(modalities=3)(as_crops(views_of(2, 2, seed=0)), torch.tensor([0, 1]))


def test_queue_shorter_than_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="queue of 3 rows is shorter than the 4 samples"):
        bare(queue_length=3)(as_crops(views_of(2, 4, seed=0)))


def test_assigned_crop_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"assigns codes to the crops \(0, 2\), but there are only 2"):
        bare(assigned_crops=(0, 2))(as_crops(views_of(2, 4, seed=0)))


def test_nan_names_the_objective_and_spares_the_queue() -> None:
    objective = bare(queue_length=4)
    views = views_of(2, 4, seed=0)
    views[1, 2, 0] = np.nan
    with pytest.raises(FloatingPointError, match="SwAV: the loss is nan"):
        objective(as_crops(views))
    assert objective.queues.filled.tolist() == [0]
