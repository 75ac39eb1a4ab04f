"""Reliability, its error, and scalings that recover what made the labels."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from bundles.common.metrics import (
    expected_calibration_error,
    fit_platt,
    fit_softmax_temperature,
    fit_temperature,
    reliability_curve,
    sigmoid,
)

cases = st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=60)


@given(cases, st.integers(1, 12))
def test_bins_are_those_of_scikit_learn_and_the_error_their_mean(pairs: list[tuple[int, bool]], bins: int) -> None:
    # Odd multiples of 1/82: none lies on the edge of a bin, to which scikit-learn is open on the other side.
    probabilities = np.array([(2 * step + 1) / 82 for step, _ in pairs])
    probabilities = np.where(np.abs(probabilities * bins - np.rint(probabilities * bins)) < 1e-6, 0.9871, probabilities)
    truth = np.array([flag for _, flag in pairs])
    observed, predicted = calibration_curve(truth, probabilities, n_bins=bins)
    curve = reliability_curve(probabilities, truth, bins)
    assert [one.observed.value for one in curve] == pytest.approx(observed)
    assert [one.predicted for one in curve] == pytest.approx(predicted)
    assert sum(one.cases for one in curve) == len(pairs)
    slow = 0.0
    for low in np.arange(bins) / bins:
        inside = (probabilities >= low) & (probabilities < low + 1 / bins)
        if inside.any():
            slow += inside.mean() * abs(truth[inside].mean() - probabilities[inside].mean())
    assert expected_calibration_error(probabilities, truth, bins) == pytest.approx(slow)


def test_edges_belong_to_the_bin_above_and_one_to_the_last() -> None:
    curve = reliability_curve([0.0, 0.5, 1.0], [0, 1, 1], bins=2)
    assert [(one.low, one.high, one.cases) for one in curve] == [(0, 0.5, 1), (0.5, 1, 2)]


def test_honest_probabilities_have_little_error() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.random(20000)
    truth = generator.random(20000) < probabilities
    assert expected_calibration_error(probabilities, truth) < 0.02
    assert expected_calibration_error(probabilities**3, truth) > 0.15


def test_temperature_recovers_the_divisor_and_repairs_the_error() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 4, 20000)
    truth = generator.random(20000) < sigmoid(logits / 2.5)
    fitted = fit_temperature(logits, truth)
    assert fitted.value == pytest.approx(2.5, rel=0.05)
    before = expected_calibration_error(sigmoid(logits), truth)
    assert expected_calibration_error(fitted.apply(logits), truth) < 0.2 * before


def test_platt_recovers_the_scaling_behind_the_labels() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, 20000)
    truth = generator.random(20000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    factor, offset = fit_platt(logits, truth)
    assert factor == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-1, abs=0.06)


def test_platt_is_a_logistic_regression_where_cases_are_many() -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 2, 5000)
    truth = generator.random(5000) < sigmoid(0.7 * logits - 1.2)
    model = LogisticRegression(C=np.inf).fit(logits[:, None], truth)
    fitted = fit_platt(logits, truth)
    assert fitted.factor == pytest.approx(model.coef_[0, 0], abs=0.01)
    assert fitted.offset == pytest.approx(model.intercept_[0], abs=0.01)
    assert fitted.apply(logits) == pytest.approx(model.predict_proba(logits[:, None])[:, 1], abs=0.005)


def test_separated_classes_leave_both_finite() -> None:
    logits, truth = np.array([-2.0, -1, 1, 2]), np.array([False, False, True, True])
    assert 0 < fit_platt(logits, truth).factor < 50
    assert fit_temperature(logits, truth).value == pytest.approx(0.01, rel=0.2)


def test_far_logits_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0, 1]


def test_what_cannot_be_calibrated_is_refused() -> None:
    for fit in (fit_platt, fit_temperature):
        with pytest.raises(ValueError, match="with and without"):
            fit(np.array([1.0, 2.0]), np.array([True, True]))
        with pytest.raises(ValueError, match="NaN"):
            fit(np.array([1.0, np.nan]), np.array([True, False]))
    with pytest.raises(ValueError, match="are they logits"):
        reliability_curve([1.5], [1])
    with pytest.raises(ValueError, match="no case"):
        expected_calibration_error([], [])
    with pytest.raises(ValueError, match="one bin"):
        reliability_curve([0.5], [1], bins=0)


def test_a_softmax_temperature_is_the_best_of_a_fine_grid() -> None:
    generator = np.random.default_rng(4)
    truth = generator.integers(0, 3, 300)
    logits = 4 * np.eye(3)[truth] + 3 * generator.standard_normal((300, 3))

    def slow(temperature: float) -> float:
        total = 0.0
        for row, own in zip(logits / temperature, truth, strict=True):
            total -= row[own] - np.log(sum(np.exp(value) for value in row))
        return total

    grid = np.arange(0.5, 6, 0.01)
    assert fit_softmax_temperature(logits, truth) == pytest.approx(grid[np.argmin([slow(t) for t in grid])], abs=0.01)


@pytest.mark.parametrize(
    ("logits", "truth", "words"),
    [
        ([[1.0, 2.0]], [0, 1], "expected logits"),
        ([[1.0, 2.0], [1.0, np.nan]], [0, 1], "not finite"),
        ([[1.0, 2.0], [1.0, 0.0]], [1, 1], "of one class"),
    ],
)
def test_a_softmax_temperature_wants_several_classes(logits: list, truth: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_softmax_temperature(logits, truth)
