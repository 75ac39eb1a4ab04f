"""Areas and operating points against slow, obvious references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bundles.common.metrics import area_under_roc, balanced_threshold, bootstrap_auc, sensitivity_specificity

labelled = st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40)


@given(labelled)
def test_area_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in pairs])
    truth = np.array([flag for _, flag in pairs])
    area = area_under_roc(scores, truth)
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[truth] for b in scores[~truth]]
    assert np.isnan(area) if not won else area == pytest.approx(sum(won) / len(won))


def test_area_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    truth = generator.random(500) < 0.3
    scores = generator.normal(size=500) + truth
    assert area_under_roc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_interval_holds_the_area_and_counts_the_labels() -> None:
    generator = np.random.default_rng(2)
    truth = generator.random(200) < 0.4
    auc = bootstrap_auc(generator.normal(size=200) + truth, truth, replicates=200)
    assert auc.low < auc.value < auc.high
    assert (auc.positives, auc.negatives) == (int(truth.sum()), int((~truth).sum()))


def test_whole_cases_are_drawn() -> None:
    """Ten copies of every label add no certainty when they belong to one case."""
    generator = np.random.default_rng(3)
    truth = generator.random(40) < 0.5
    scores = generator.normal(size=40) + truth
    alone = bootstrap_auc(scores, truth, replicates=300)
    copied = bootstrap_auc(np.repeat(scores, 10), np.repeat(truth, 10), np.repeat(np.arange(40), 10), replicates=300)
    assert (alone.low, alone.high) == pytest.approx((copied.low, copied.high))


def test_one_class_has_no_area() -> None:
    auc = bootstrap_auc(np.arange(4.0), np.ones(4, bool), replicates=5)
    assert np.isnan([auc.value, auc.low, auc.high]).all()


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
