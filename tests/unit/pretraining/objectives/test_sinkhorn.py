"""Sinkhorn against the paper's loop, its marginals, and where plain exponentials break."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pretraining.objectives.sinkhorn import sinkhorn
from tests.unit.pretraining.objectives import reference


def cosines(samples: int, prototypes: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, size=(samples, prototypes)))


@settings(deadline=None, max_examples=50)
@given(
    samples=st.integers(1, 9),
    prototypes=st.integers(2, 8),
    epsilon=st.floats(0.01, 1),
    iterations=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_codes_are_the_papers(samples: int, prototypes: int, epsilon: float, iterations: int, seed: int) -> None:
    scores = cosines(samples, prototypes, seed)
    expected = reference.sinkhorn(scores.numpy(), epsilon, iterations)
    assert sinkhorn(scores, epsilon, iterations).numpy() == pytest.approx(expected, abs=1e-6)


def test_marginals_are_uniform() -> None:
    codes = sinkhorn(cosines(40, 7, seed=0), 0.2, 200)
    assert codes.sum(dim=1).numpy() == pytest.approx(np.ones(40), abs=1e-9)
    assert codes.sum(dim=0).numpy() == pytest.approx(np.full(7, 40 / 7), abs=1e-6)


def test_after_few_iterations_every_sample_is_still_shared_out_wholly() -> None:
    assert sinkhorn(cosines(5, 30, seed=1), 0.03, 3).sum(dim=1).numpy() == pytest.approx(np.ones(5), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("epsilon", [0.03, 0.0113, 0.001])
def test_small_epsilon_neither_overflows_nor_underflows(dtype: torch.dtype, epsilon: float) -> None:
    scores = cosines(16, 10, seed=2).to(dtype)
    scores[0] = -1.0  # far below the largest score: exp((−1 − 1)/ε) is 0 in float32
    scores[1, 0] = 1.0
    codes = sinkhorn(scores, epsilon)
    exact = sinkhorn(scores.double(), epsilon)
    assert codes.dtype == torch.float32
    assert torch.isfinite(codes).all()
    # Rounding of score/ε, up to 1000 here, is what float32 leaves.
    assert codes.numpy() == pytest.approx(exact.numpy(), abs=2e-3)


def test_no_samples_give_no_codes() -> None:
    assert sinkhorn(torch.empty(0, 4), 0.03).shape == (0, 4)


@pytest.mark.parametrize(("epsilon", "iterations"), [(0.0, 3), (-0.1, 3), (0.03, 0)])
def test_impossible_settings_are_refused(epsilon: float, iterations: int) -> None:
    with pytest.raises(ValueError, match="Sinkhorn needs ε above 0 and at least 1 iteration"):
        sinkhorn(torch.zeros(2, 2), epsilon, iterations)
