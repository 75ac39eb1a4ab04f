"""Collapse is seen in the figures and told in words."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from pretraining.monitors import (
    Health,
    diagnose,
    effective_rank,
    embedding_std,
    health,
    name_of_collapse,
    steps_at,
    usage_entropy,
)

GOOD = Health(spread=0.9, effective_rank=60, dimensions=128, samples=256, usage=0.9)


def sphere(samples: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(samples, dimensions, generator=torch.Generator().manual_seed(seed)))


def test_vectors_all_over_the_sphere_have_spread_one_and_nearly_full_rank() -> None:
    state = health(sphere(4096, 32))
    assert state.spread == pytest.approx(1, abs=0.01)
    assert state.effective_rank == pytest.approx(32, rel=0.01)


def test_equal_vectors_have_neither() -> None:
    state = health(sphere(1, 128).expand(64, -1))
    assert state.spread == pytest.approx(0, abs=1e-6)
    assert state.effective_rank == 0


def test_standard_deviation_is_per_dimension() -> None:
    assert embedding_std(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist() == [1.0, 0.0]


@given(rank=st.integers(1, 8))
def test_the_rank_of_orthogonal_directions_of_equal_length_is_their_number(rank: int) -> None:
    basis = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1)).double()).Q[:rank]
    assert effective_rank(torch.cat([basis, -basis])) == pytest.approx(rank)


def test_a_common_offset_does_not_change_the_rank() -> None:
    vectors = sphere(100, 8).double()
    assert effective_rank(vectors + 5) == pytest.approx(effective_rank(vectors))


def test_a_spread_needs_two_embeddings() -> None:
    with pytest.raises(ValueError, match=r"2 or more, dimensions\), got \(1, 3\)"):
        embedding_std(torch.zeros(1, 3))


def test_even_usage_is_one_and_a_single_prototype_is_zero() -> None:
    assert usage_entropy(torch.eye(6)) == pytest.approx(1)
    assert usage_entropy(functional.one_hot(torch.zeros(5, dtype=torch.long), 4)) == 0
    half = functional.one_hot(torch.arange(8) % 2, 16)
    assert usage_entropy(half) == pytest.approx(math.log(2) / math.log(16))


@pytest.mark.parametrize(("rows", "match"), [(torch.ones(2, 1), "2 or more"), (torch.randn(4, 3), "softmax")])
def test_what_is_no_assignment_is_refused(rows: torch.Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        usage_entropy(rows)


def test_steps_at_counts_from_the_end() -> None:
    assert steps_at([4.14, 3.0, 4.15, 4.14, 4.13], 4.143) == 3
    assert steps_at([4.14, math.nan], 4.143) == 0
    assert steps_at([], 4.143) == 0


def test_a_loss_at_its_collapse_value_is_told_in_words() -> None:
    value = math.log(2 * 32 - 1)
    (sentence,) = diagnose([value] * 200, value, GOOD, collapse_name="ln(2N−1)")
    assert sentence.startswith("the loss has sat at ln(2N−1) = 4.14 for 200 steps: the network gives every image the")
    assert "lower the learning rate" in sentence


def test_the_start_of_a_training_is_no_collapse() -> None:
    assert diagnose([4.14] * 199, 4.143, GOOD) == ()
    assert diagnose([4.14] * 500 + [3.9], 4.143, GOOD) == ()


@pytest.mark.parametrize(("value", "name"), [(math.log(63), "ln(63)"), (math.log(65537), "ln(65537)"), (1.234567, "")])
def test_a_collapse_value_gets_the_name_of_its_number(value: float, name: str) -> None:
    assert name_of_collapse(value) == name


def test_an_unnamed_value_is_shown_bare() -> None:
    (sentence,) = diagnose([1.234567] * 3, 1.234567, patience=3)
    assert "sat at 1.23 for 3 steps" in sentence


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told(loss: float) -> None:
    (sentence,) = diagnose([1.0, loss], 4.0)
    assert sentence.startswith(f"the loss is {loss}")


@pytest.mark.parametrize(
    ("state", "start"),
    [
        (Health(0.01, 60, 128, 256), "the embeddings hardly differ (spread 0.010"),
        (Health(0.9, 1.2, 128, 256), "the embeddings use 1.2 of 128 dimensions"),
        (Health(0.9, 60, 128, 256, usage=0.1), "few prototypes take most images (usage 0.10"),
    ],
)
def test_each_figure_has_its_sentence(state: Health, start: str) -> None:
    (sentence,) = diagnose([1.0], 4.0, state)
    assert sentence.startswith(start)


def test_a_rank_of_few_samples_says_nothing() -> None:
    assert diagnose([1.0], 4.0, Health(0.9, 1.2, 128, 4)) == ()


def test_waiting_for_data_is_told() -> None:
    (sentence,) = diagnose([1.0], None, data_wait=0.35)
    assert sentence.startswith("35% of the time")
    assert diagnose([1.0], None, GOOD, data_wait=0.05) == ()
