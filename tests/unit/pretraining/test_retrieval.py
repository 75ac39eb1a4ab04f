"""Views find their other half: ranks against a slow loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraining.retrieval import own_ranks


def slow_ranks(queries: np.ndarray, keys: np.ndarray) -> list[int]:
    """Count, for each query, the keys at least as near as its own."""

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-24))

    queries, keys = queries - queries.mean(axis=0), keys - keys.mean(axis=0)
    return [
        sum(cosine(query, key) >= cosine(query, keys[place]) for key in keys) for place, query in enumerate(queries)
    ]


@given(seed=st.integers(0, 2**31), count=st.integers(2, 12), width=st.integers(2, 6))
def test_ranks_are_those_of_a_slow_loop(seed: int, count: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    queries, keys = rng.normal(size=(2, count, width))
    assert own_ranks(queries, keys).tolist() == slow_ranks(queries, keys)


def test_equal_views_are_first_and_a_collapsed_network_is_last() -> None:
    features = np.random.default_rng(0).normal(size=(20, 8))
    assert own_ranks(features, features + 1e-6).tolist() == [1] * 20
    assert own_ranks(np.ones((20, 8)), np.ones((20, 8))).tolist() == [20] * 20


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_a_common_part_of_all_features_does_not_count(shift: float) -> None:
    features = np.random.default_rng(1).normal(size=(20, 8))
    noisy = features + 0.3 * np.random.default_rng(2).normal(size=(20, 8))
    assert own_ranks(features + shift, noisy + shift).tolist() == own_ranks(features, noisy).tolist()
