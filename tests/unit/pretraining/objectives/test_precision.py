"""Networks in bf16 and fp16: finite losses near those of float32, gradients that reach every trained parameter."""

import pytest
import torch

from pretraining.objectives.heads import linear_head
from pretraining.objectives.moco import MoCo
from pretraining.objectives.objective import Objective
from pretraining.objectives.simclr import SimCLR
from pretraining.objectives.swav import SwAV
from tests.unit.pretraining.objectives.networks import FEATURES, TinyEncoder, random_crops


def make(name: str, dimensions: int) -> Objective:
    torch.manual_seed(0)
    encoder, head = TinyEncoder(dimensions), linear_head(FEATURES, 5)
    if name == "simclr":
        return SimCLR(encoder, FEATURES, head=head, temperature=0.1)
    if name == "moco":
        return MoCo(encoder, FEATURES, head=head, queue_length=16)
    return SwAV(encoder, FEATURES, head=head, prototypes=8, epsilon=0.03, queue_length=4)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", ["simclr", "moco", "swav"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(name: str, dtype: torch.dtype, dimensions: int) -> None:
    exact, half = make(name, dimensions), make(name, dimensions)
    for step in range(2):
        crops = random_crops(dimensions, 4, (6, 6), seed=step, dtype=torch.float32)
        expected = exact(crops).loss
        with torch.autocast("cpu", dtype=dtype):
            output = half(crops)
        assert output.loss.dtype == torch.float32
        assert output.embeddings.dtype == torch.float32
        # bf16 keeps 8 bits of the features; temperatures of 0.1 multiply what is lost by 10.
        assert output.loss.item() == pytest.approx(expected.item(), abs=0.2 if dtype == torch.bfloat16 else 0.02)
    output.loss.backward()
    for parameter in half.parameters():
        assert parameter.requires_grad == (parameter.grad is not None)
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("name", ["simclr", "moco", "swav"])
def test_a_network_kept_in_bf16(name: str) -> None:
    """Parameters, queue and prototypes in bf16; the loss is still computed in float32."""
    objective = make(name, 2).bfloat16()
    for step in range(3):
        output = objective(random_crops(2, 4, (6, 6), seed=step, dtype=torch.bfloat16))
        assert output.loss.dtype == torch.float32
        assert torch.isfinite(output.loss)
    output.loss.backward()
