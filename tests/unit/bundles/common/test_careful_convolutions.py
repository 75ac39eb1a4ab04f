"""In half precision on a CPU, weight gradients are those of float32, whatever freed memory holds."""

import copy

import pytest
import torch
from torch import nn

from bundles.common.careful_convolutions import gradient_is_right, make_convolutions_careful
from bundles.common.dense3d import Encoder


def poison() -> None:
    """Fill memory with NaN and free it."""
    held = [torch.full((1 << power,), float("nan"), dtype=kind) for power in range(10, 22) for kind in HALVES]
    del held


HALVES = (torch.float32, torch.bfloat16)
# Kernels and maps that came out wrong on an AMD EPYC with torch 2.13.0, and two that did not.
CASES = [
    (nn.Conv2d(8, 16, 3, 2, 1), (4, 8, 1, 1)),
    (nn.Conv2d(8, 16, 3, 1, 1), (4, 8, 8, 8)),
    (nn.Conv3d(64, 7, 3, 1, 1), (4, 64, 2, 2, 2)),
    (nn.Conv3d(64, 7, 3, 1, 1), (4, 64, 2, 4, 4)),
    (nn.Conv3d(4, 8, (1, 3, 3), 1, (0, 1, 1)), (2, 4, 4, 8, 8)),
]


@pytest.mark.parametrize(("layer", "shape"), CASES)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_gradients_are_those_of_float32(layer: nn.Module, shape: tuple[int, ...], kind: torch.dtype) -> None:
    careful = copy.deepcopy(layer)
    make_convolutions_careful(careful)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    out = layer(x)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
    layer.zero_grad()
    out.backward(direction)
    for _ in range(4):
        careful.zero_grad()
        poison()
        with torch.autocast("cpu", dtype=kind):
            made = careful(x)
        made.backward(direction.to(made.dtype))
        error = (careful.weight.grad - layer.weight.grad).norm() / layer.weight.grad.norm()
        assert float(error) < 0.05


def test_a_gradient_that_is_wrong_is_found_and_a_right_one_stays_in_half_precision(monkeypatch) -> None:
    layer = nn.Conv2d(8, 16, 3, 1, 1)
    x = torch.randn(4, 8, 8, 8)
    assert gradient_is_right(layer, x, torch.bfloat16)
    make_convolutions_careful(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16

    broken = nn.Conv2d(8, 16, 3, 1, 1)
    right = broken._conv_forward

    def wrong(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        made = right(x, weight, bias)
        if weight.dtype == torch.bfloat16 and weight.requires_grad:
            weight.register_hook(lambda gradient: gradient * float("nan"))
        return made

    monkeypatch.setattr(broken, "_conv_forward", wrong)
    assert not gradient_is_right(broken, x, torch.bfloat16)
    make_convolutions_careful(broken)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert broken(x).dtype == torch.float32


def test_nothing_changes_without_half_precision_or_gradients() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3))
    x = torch.randn(2, 1, 8, 8)
    before, state, random = layer(x), copy.deepcopy(layer.state_dict()), torch.get_rng_state()
    make_convolutions_careful(layer)
    assert torch.equal(layer(x), before)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())


def test_the_dense_network_has_the_gradients_of_float32_on_small_volumes() -> None:
    torch.manual_seed(0)
    plain = Encoder()
    careful = copy.deepcopy(plain)
    make_convolutions_careful(careful)
    x = torch.rand(4, 1, 8, 64, 64)
    plain(x).square().mean().backward()
    poison()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = careful(x)
    out.float().square().mean().backward()
    for (name, one), other in zip(plain.named_parameters(), careful.parameters(), strict=True):
        assert torch.isfinite(other.grad).all(), name
        if one.ndim == 5:
            assert float(torch.nn.functional.cosine_similarity(one.grad.flatten(), other.grad.flatten(), 0)) > 0.5, name


def test_a_careful_layer_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    make_convolutions_careful(network)
    once = network[0].forward
    make_convolutions_careful(nn.ModuleList([network]))
    assert network[0].forward is once
