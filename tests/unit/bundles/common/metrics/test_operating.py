"""Operating points against a search over every way to cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.metrics import at_sensitivity, at_specificity, balanced_threshold, sensitivity_specificity

labelled = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40)


@given(labelled)
def test_operating_point_is_as_balanced_as_any(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([(score + 5) / 10 for score, _ in pairs])
    truth = np.array([flag for _, flag in pairs])
    if truth.all() or not truth.any():
        with pytest.raises(ValueError, match="with and without"):
            balanced_threshold(scores, truth)
        return
    gap = abs(np.subtract(*sensitivity_specificity(scores, truth, balanced_threshold(scores, truth))))
    others = [abs(np.subtract(*sensitivity_specificity(scores, truth, cut))) for cut in np.linspace(-0.05, 1.05, 23)]
    assert gap <= min(others) + 1e-9


def test_sensitivity_and_specificity_of_a_missing_class_are_nan() -> None:
    sensitivity, specificity = sensitivity_specificity(np.array([0.9]), np.array([True]), 0.5)
    assert sensitivity == 1
    assert np.isnan(specificity)


@given(labelled, st.floats(0, 1))
def test_a_fixed_side_is_kept_and_the_other_is_the_best_there_is(pairs: list[tuple[int, bool]], wanted: float) -> None:
    scores = np.array([score / 10 for score, _ in pairs])
    truth = np.array([flag for _, flag in pairs])
    if truth.all() or not truth.any():
        with pytest.raises(ValueError, match="with and without"):
            at_specificity(scores, truth, wanted)
        return
    every = [sensitivity_specificity(scores, truth, cut) for cut in np.arange(-0.55, 0.6, 0.1)]
    specific, sensitive = at_specificity(scores, truth, wanted), at_sensitivity(scores, truth, wanted)
    assert specific.specificity >= wanted
    assert specific.sensitivity == pytest.approx(max(a for a, b in every if b >= wanted))
    assert sensitive.sensitivity >= wanted
    assert sensitive.specificity == pytest.approx(max(b for a, b in every if a >= wanted))
    for point in (specific, sensitive):
        measured = sensitivity_specificity(scores, truth, point.threshold)
        assert (point.sensitivity, point.specificity) == pytest.approx(measured)


def test_neighbouring_floats_stay_apart() -> None:
    """Their middle rounds down to the lower one, which would be called."""
    low = np.float64(0.3)
    scores = np.array([low, np.nextafter(low, 1)])
    point = at_specificity(scores, [False, True], 1.0)
    assert (point.sensitivity, point.specificity) == (1, 1)
    assert sensitivity_specificity(scores, np.array([False, True]), point.threshold) == (1, 1)


def test_large_logits_have_a_threshold_above_and_below_them() -> None:
    scores = np.array([1e12, -1e12])
    assert at_specificity(scores, [False, True], 1.0).threshold > 1e12
    assert at_sensitivity(scores, [False, True], 1.0).threshold < -1e12 + 1e-3


@pytest.mark.parametrize("wanted", [-0.1, 1.1, float("nan")])
def test_a_share_outside_of_0_to_1_is_refused(wanted: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        at_specificity([0.1, 0.9], [0, 1], wanted)
    with pytest.raises(ValueError, match="between 0 and 1"):
        at_sensitivity([0.1, 0.9], [0, 1], wanted)
