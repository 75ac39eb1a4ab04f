"""NT-Xent against the paper's loop, MONAI's loss and its oracle; SimCLR in 2-D and 3-D."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import ContrastiveLoss

from pretraining.objectives.heads import linear_head
from pretraining.objectives.ntxent import nt_xent
from pretraining.objectives.simclr import SimCLR
from tests.unit.pretraining.objectives import reference
from tests.unit.pretraining.objectives.networks import FEATURES, Constant, TinyEncoder, random_crops

shapes = {
    "batch": st.integers(1, 6),
    "dimension": st.integers(2, 7),
    "seed": st.integers(0, 1000),
}


def two_views(batch: int, dimension: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    views = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, batch, dimension)))
    return views[0], views[1]


@settings(deadline=None, max_examples=40)
@given(**shapes, temperature=st.floats(0.02, 5))
def test_loss_is_the_papers(batch: int, dimension: int, seed: int, temperature: float) -> None:
    first, second = two_views(batch, dimension, seed)
    expected = reference.nt_xent(first.numpy(), second.numpy(), temperature)
    assert nt_xent(first, second, temperature).loss.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(**shapes, temperature=st.floats(0.1, 5))
def test_loss_is_monais(batch: int, dimension: int, seed: int, temperature: float) -> None:
    first, second = two_views(batch, dimension, seed)
    # MONAI makes a float32 tensor of the temperature.
    temperature = float(np.float32(temperature))
    expected = ContrastiveLoss(temperature=temperature)(first, second).item()
    assert nt_xent(first, second, temperature).loss.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_identical_embeddings_give_ln_of_2n_minus_1(temperature: float) -> None:
    same = torch.ones(7, 5, dtype=torch.float64)
    assert nt_xent(same, same, temperature).loss.item() == pytest.approx(math.log(13), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("temperature", [0.005, 0.1])
def test_half_precision_is_finite_and_near(dtype: torch.dtype, temperature: float) -> None:
    first, second = (view.to(dtype).requires_grad_() for view in two_views(6, 16, 3))
    loss = nt_xent(first, second, temperature).loss
    loss.backward()
    exact = nt_xent(first.detach().double(), second.detach().double(), temperature).loss
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-4)
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("stack", [False, True])
def test_objective_projects_and_compares_both_crops(dimensions: int, stack: bool) -> None:
    objective = SimCLR(
        TinyEncoder(dimensions), FEATURES, head=linear_head(FEATURES, 5), temperature=0.3, stack_crops=stack
    ).double()
    crops = random_crops(dimensions, 4, (6, 6), seed=1)
    output = objective(crops)
    views = [objective.head(objective.encoder(crop)).detach().numpy() for crop in crops]
    assert output.loss.item() == pytest.approx(reference.nt_xent(*views, 0.3), abs=1e-9)
    assert torch.allclose(output.embeddings, torch.from_numpy(reference.unit(views[0])))
    assert not output.embeddings.requires_grad
    assert output.features is not None
    assert output.features.shape == (4, FEATURES)


def test_collapse_value_is_the_loss_of_a_constant_network() -> None:
    objective = SimCLR(Constant(), FEATURES, head=linear_head(FEATURES)).double()
    assert objective.collapse_value is None
    loss = objective(random_crops(2, 5, (6, 6), seed=0)).loss.item()
    assert loss == pytest.approx(math.log(9), abs=1e-12)
    assert objective.collapse_value == pytest.approx(loss)


def test_crops_of_other_shapes_are_allowed_and_stacked_by_full_shape() -> None:
    torch.manual_seed(0)
    apart = SimCLR(TinyEncoder(3), FEATURES, head=linear_head(FEATURES, 5)).double()
    joint = SimCLR(TinyEncoder(3), FEATURES, head=linear_head(FEATURES, 5), stack_crops=True).double()
    joint.load_state_dict(apart.state_dict())
    # Both share the last side, as the crops of a volume may.
    crops = tuple(torch.rand(3, 1, *size, dtype=torch.float64) for size in ((6, 5, 7), (5, 6, 7)))
    assert joint(crops).loss.item() == pytest.approx(apart(crops).loss.item(), abs=1e-12)


def test_one_image_has_no_negatives() -> None:
    objective = SimCLR(TinyEncoder(2), FEATURES, head=linear_head(FEATURES))
    with pytest.raises(ValueError, match="one image has no negatives"):
        objective(random_crops(2, 1, (6, 6), seed=0, dtype=torch.float32))


def test_three_crops_are_refused() -> None:
    objective = SimCLR(TinyEncoder(2), FEATURES, head=linear_head(FEATURES))
    with pytest.raises(ValueError, match="SimCLR compares exactly 2 crops of an image, not 3"):
        objective(random_crops(2, 2, (6, 6, 6), seed=0, dtype=torch.float32))


def test_crops_of_different_batches_are_refused() -> None:
    objective = SimCLR(TinyEncoder(2), FEATURES, head=linear_head(FEATURES))
    crops = (torch.rand(2, 1, 6, 6), torch.rand(3, 1, 6, 6))
    with pytest.raises(ValueError, match=r"the crops hold \[2, 3\]"):
        objective(crops)


def test_nan_in_an_image_names_the_objective() -> None:
    objective = SimCLR(TinyEncoder(2), FEATURES, head=linear_head(FEATURES)).double()
    crops = random_crops(2, 3, (6, 6), seed=0)
    crops[0][1, 0, 2, 2] = torch.nan
    with pytest.raises(FloatingPointError, match="SimCLR: the loss is nan"):
        objective(crops)
