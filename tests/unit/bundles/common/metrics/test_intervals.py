"""Intervals: coverage, whole patients, pairs, and SciPy's exact binomial."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bundles.common.metrics import area_under_roc, bootstrap, bootstrap_auc, bootstrap_difference, clopper_pearson


def test_an_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(lambda chosen: float(values[chosen].mean()), 400, replicates=2000)
    half = 1.96 * values.std() / 20
    assert interval.value == values.mean()
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
    assert interval.replicates == 2000


def test_the_general_way_is_the_one_for_areas() -> None:
    generator = np.random.default_rng(1)
    truth, scores = generator.random(60) < 0.4, generator.normal(size=60)
    patients = generator.integers(0, 20, 60)
    general = bootstrap(lambda chosen: area_under_roc(scores[chosen], truth[chosen]), 60, patients, 100, seed=3)
    special = bootstrap_auc(scores, truth, patients, 100, seed=3)
    assert (general.value, general.low, general.high) == (special.value, special.low, special.high)


def test_patients_may_be_names_and_count_as_one() -> None:
    """Ten images of each patient say no more than one when they are alike."""
    values = np.random.default_rng(2).normal(size=30)
    names = np.array([f"patient {index:02d}" for index in range(30)])
    copied, owners = np.repeat(values, 10), np.repeat(names, 10)
    alone = bootstrap(lambda chosen: float(values[chosen].mean()), 30, names)
    ten = bootstrap(lambda chosen: float(copied[chosen].mean()), 300, owners)
    assert (ten.low, ten.high) == pytest.approx((alone.low, alone.high))
    assert alone.replicates == 500


def test_undefined_replicates_are_left_out_and_counted() -> None:
    interval = bootstrap(lambda chosen: 1.0 if 0 in chosen else float("nan"), 3, replicates=200)
    assert interval.low == interval.high == 1
    assert 0.5 < interval.replicates / 200 < 0.9
    never = bootstrap(lambda _: float("nan"), 3, replicates=4)
    assert np.isnan([never.value, never.low, never.high]).all()
    assert never.replicates == 0


def test_nothing_to_measure_and_wrong_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="no case"):
        bootstrap(lambda _: 0.0, 0)
    with pytest.raises(ValueError, match="no case"):
        bootstrap_difference(lambda _: 0.0, lambda _: 0.0, 0)
    with pytest.raises(ValueError, match="patient of each of 3"):
        bootstrap(lambda _: 0.0, 3, np.array([1, 2]))


def test_pairs_are_drawn_together() -> None:
    """Two figures that differ by a constant on every case have a difference without doubt."""
    values = np.random.default_rng(3).normal(size=50)
    difference = bootstrap_difference(
        lambda chosen: float(values[chosen].mean() + 0.1), lambda chosen: float(values[chosen].mean()), 50
    )
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert difference.p == pytest.approx(2 / 501)


def test_equal_figures_do_not_differ() -> None:
    difference = bootstrap_difference(lambda _: 1.0, lambda _: 1.0, 5)
    assert (difference.value, difference.p) == (0, 1)


@given(st.integers(0, 50), st.integers(1, 50), st.sampled_from([0.9, 0.95, 0.99]))
def test_exact_interval_is_that_of_scipy(successes: int, trials: int, level: float) -> None:
    successes = min(successes, trials)
    expected = binomtest(successes, trials).proportion_ci(level, method="exact")
    interval = clopper_pearson(successes, trials, level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert interval.value == successes / trials


def test_no_trial_says_nothing() -> None:
    interval = clopper_pearson(0, 0)
    assert np.isnan(interval.value)
    assert (interval.low, interval.high) == (0, 1)


@pytest.mark.parametrize(("successes", "trials", "level"), [(2, 1, 0.95), (-1, 1, 0.95), (1, 2, 1.0)])
def test_impossible_counts_are_refused(successes: int, trials: int, level: float) -> None:
    with pytest.raises(ValueError, match="successes and a level"):
        clopper_pearson(successes, trials, level)
