"""LARC against its formula, learning rates against theirs; resuming needs only the step."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pretraining.optim import (
    Constant,
    Larc,
    Steps,
    WarmUpCosine,
    make_optimizer,
    parameter_groups,
    set_learning_rate,
)


def slow_larc(weights, gradients, lr, momentum, decay):
    """numerics.md, LARC: one tensor, one step at a time, written without torch."""
    w, v, trust, epsilon = weights.copy(), None, 0.001, 1e-8
    for gradient in gradients:
        norm, gradient_norm = math.sqrt((w * w).sum()), math.sqrt((gradient * gradient).sum())
        g = gradient.copy()
        if norm > 0 and gradient_norm > 0:
            g = (gradient + decay * w) * (trust * norm / (gradient_norm + decay * norm + epsilon))
        v = g if v is None else momentum * v + g
        w = w - lr * v
    return w


@given(
    seed=st.integers(0, 2**31),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    lr=st.floats(1e-3, 2),
    regularisers=st.tuples(st.floats(0, 0.99), st.floats(0, 0.1)),
    steps=st.integers(1, 5),
)
def test_larc_is_its_formula(seed, shape, lr, regularisers, steps) -> None:
    momentum, decay = regularisers
    rng = np.random.default_rng(seed)
    weights, gradients = rng.normal(size=shape), rng.normal(size=(steps, *shape))
    param = nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = Larc([param], lr=lr, momentum=momentum, weight_decay=decay)
    for gradient in gradients:
        param.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    expected = slow_larc(weights, gradients, lr, momentum, decay)
    np.testing.assert_allclose(param.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_larc_treats_every_tensor_by_itself() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)), 100 * rng.normal(size=4)]
    gradients = [1e-6 * rng.normal(size=(3, 2)), rng.normal(size=4)]
    params = [nn.Parameter(torch.from_numpy(value.copy())) for value in values]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = torch.from_numpy(gradient.copy())
    Larc(params, lr=0.5, weight_decay=1e-3).step()
    for param, value, gradient in zip(params, values, gradients, strict=True):
        np.testing.assert_allclose(param.detach().numpy(), slow_larc(value, [gradient], 0.5, 0.9, 1e-3), rtol=1e-12)


def test_larc_does_not_clip() -> None:
    """A large weight with a tiny gradient moves by trust·‖w‖, a rate far above the given one."""
    param = nn.Parameter(torch.tensor([1000.0]))
    param.grad = torch.tensor([1e-3])
    Larc([param], lr=1.0).step()
    assert param.item() == pytest.approx(999.0, abs=1e-2)


def test_larc_moves_a_tensor_of_zeros_by_its_plain_gradient() -> None:
    param = nn.Parameter(torch.zeros(2))
    param.grad = torch.tensor([1.0, -2.0])
    Larc([param], lr=0.1, weight_decay=0.5).step()
    assert param.tolist() == pytest.approx([-0.1, 0.2])


def test_larc_leaves_a_tensor_without_gradient_signal() -> None:
    idle, none = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    idle.grad = torch.zeros(2)
    Larc([idle, none], lr=0.1, weight_decay=0.5).step()
    assert idle.tolist() == none.tolist() == [1, 1]


def test_larc_does_not_change_the_gradient_it_reads() -> None:
    param = nn.Parameter(torch.ones(2))
    param.grad = torch.tensor([1.0, 2.0])
    optimizer = Larc([param], lr=0.1, weight_decay=0.5)
    optimizer.step()
    optimizer.step()
    assert param.grad.tolist() == [1.0, 2.0]


def test_larc_calls_the_closure_with_gradients_enabled() -> None:
    param = nn.Parameter(torch.ones(2))
    optimizer = Larc([param], lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = param.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 2.0
    assert param[0].item() < 1


@pytest.mark.parametrize("name", ["sgd", "larc", "adamw"])
def test_saved_and_loaded_it_goes_on_bitwise(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    optimizer = make_optimizer(name, network, 0.1, weight_decay=1e-2, decay_vectors=False)
    inputs = torch.rand(6, 4, 3)

    def run(network, optimizer, batches) -> None:
        for batch in batches:
            optimizer.zero_grad()
            network(batch).square().sum().backward()
            optimizer.step()

    run(network, optimizer, inputs[:3])
    other = copy.deepcopy(network)
    resumed = make_optimizer(name, other, 9.0, decay_vectors=False)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(network, optimizer, inputs[3:])
    run(other, resumed, inputs[3:])
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)


def test_larc_learns() -> None:
    torch.manual_seed(0)
    network, target = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1)), torch.rand(64, 4)
    optimizer = make_optimizer("larc", network, 3.0)

    def loss() -> torch.Tensor:
        return (network(target) - target.sum(1, keepdim=True)).square().mean()

    before = loss().item()
    for _ in range(200):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before / 20


def test_larc_refuses_a_negative_value() -> None:
    with pytest.raises(ValueError, match="trust must not be negative, got -1"):
        Larc([nn.Parameter(torch.ones(1))], lr=0.1, trust=-1)


def test_norms_and_biases_can_be_spared_from_decay() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2, bias=False))
    spared = parameter_groups(network, 0.1, decay_vectors=False)
    names = {id(param): name for name, param in network.named_parameters()}
    assert [group["weight_decay"] for group in spared] == [0.1, 0.0]
    assert [[names[id(param)] for param in group["params"]] for group in spared] == [
        ["0.weight", "2.weight"],
        ["0.bias", "1.weight", "1.bias"],
    ]
    assert [len(group["params"]) for group in parameter_groups(network, 0.1)] == [5]


def test_frozen_parameters_are_left_out() -> None:
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(requires_grad=False)
    assert [param.shape for group in parameter_groups(network, 0.1) for param in group["params"]] == [(2, 2)]
    with pytest.raises(ValueError, match="no parameter to train"):
        make_optimizer("sgd", network.requires_grad_(requires_grad=False), 0.1)


def test_an_unknown_optimiser_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="'adam', did you mean 'adamw'"):
        make_optimizer("adam", nn.Linear(1, 1), 0.1)


@given(total=st.integers(2, 1000), share=st.floats(0, 0.9), step=st.integers(0, 1200))
def test_warm_up_and_cosine_are_their_formula(total: int, share: float, step: int) -> None:
    warm_up = min(int(share * total), total - 1)
    base, final, start = 0.6, 0.0006, 0.05
    found = WarmUpCosine(base, total, warm_up, final, start)(step)
    if step < warm_up:
        expected = start + (base - start) * step / warm_up
    else:
        t = min(step, total) - warm_up
        expected = final + (base - final) * 0.5 * (1 + math.cos(math.pi * t / (total - warm_up)))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert min(final, start) <= found <= base


def test_the_corners_of_the_cosine_are_exact() -> None:
    schedule = WarmUpCosine(base=0.6, total=110, warm_up=10, final=0.0006)
    assert [schedule(step) for step in (0, 5, 10, 110, 10_000)] == [0.0, 0.3, 0.6, 0.0006, 0.0006]
    assert schedule(60) == pytest.approx((0.6 + 0.0006) / 2)


def test_steps_multiply_at_their_milestones() -> None:
    schedule = Steps(0.03, (120, 160))
    assert [schedule(step) for step in (0, 119)] == [0.03, 0.03]
    assert [schedule(step) for step in (120, 159, 160)] == pytest.approx([0.003, 0.003, 0.0003])


def test_constant_is_constant() -> None:
    assert {Constant(0.1)(step) for step in (0, 1, 10**6)} == {0.1}


@pytest.mark.parametrize("schedule", [Constant(0.1), Steps(0.1, ()), WarmUpCosine(0.1, 2)])
def test_steps_count_from_zero(schedule) -> None:
    with pytest.raises(ValueError, match="steps count from 0, got -1"):
        schedule(-1)


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="warm-up has 5 steps and the training 5"):
        WarmUpCosine(0.1, 5, 5)
    with pytest.raises(ValueError, match="negative"):
        WarmUpCosine(-0.1, 5)
    with pytest.raises(ValueError, match="milestones must rise"):
        Steps(0.1, (3, 3))


def test_every_group_gets_the_rate_of_the_step() -> None:
    optimizer = make_optimizer("sgd", nn.Linear(2, 2), 1.0, decay_vectors=False)
    assert set_learning_rate(optimizer, WarmUpCosine(0.4, 10, 4), 2) == 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2]
