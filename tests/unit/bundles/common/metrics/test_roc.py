"""Curves and areas against scikit-learn and slow, obvious references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from bundles.common.metrics import (
    area_under_roc,
    average_precision,
    bootstrap_auc,
    precision_recall_curve,
    roc_band,
    roc_curve,
)

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
    assert area_under_roc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))


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


def test_empty_lists_have_no_area() -> None:
    auc = bootstrap_auc(np.array([]), np.array([], bool), replicates=5)
    assert np.isnan([auc.value, auc.low, auc.high]).all()
    assert (auc.positives, auc.negatives) == (0, 0)


def test_a_score_that_is_not_a_number_makes_the_area_none() -> None:
    assert np.isnan(area_under_roc(np.array([0.1, np.nan, 0.3]), np.array([False, True, True])))


@given(labelled)
def test_curves_are_those_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores, truth = arrays(pairs)
    if not truth.any():
        assert np.isnan(average_precision(scores, truth))
        with pytest.raises(ValueError, match="a case with the finding"):
            precision_recall_curve(scores, truth)
        return
    assert average_precision(scores, truth) == pytest.approx(sklearn_metrics.average_precision_score(truth, scores))
    precision, recall, thresholds = sklearn_metrics.precision_recall_curve(truth, scores)
    curve = precision_recall_curve(scores, truth)
    assert curve.precision == pytest.approx(precision[:-1][::-1])
    assert curve.recall == pytest.approx(recall[:-1][::-1])
    assert curve.thresholds == pytest.approx(thresholds[::-1])
    if truth.all():
        with pytest.raises(ValueError, match="with and without"):
            roc_curve(scores, truth)
        return
    false, true, thresholds = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
    roc = roc_curve(scores, truth)
    assert roc.false_positive_rate == pytest.approx(false)
    assert roc.sensitivity == pytest.approx(true)
    assert roc.thresholds.tolist() == thresholds.tolist()
    assert np.trapezoid(roc.sensitivity, roc.false_positive_rate) == pytest.approx(area_under_roc(scores, truth))


@pytest.mark.parametrize(
    ("scores", "truth", "words"),
    [
        ([0.1, np.nan], [0, 1], "1 of 2 scores are NaN"),
        ([0.1, np.inf], [0, 1], "infinite"),
        ([0.1], [0, 1], "one score and one label"),
        ([[0.1]], [[1]], "shapes"),
        ([0.1, 0.2], [0, np.nan], "unknown label"),
        ([0.1, 0.2], [0, 2], "0 or 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(scores: list[float], truth: list[float], words: str) -> None:
    for function in (average_precision, roc_curve, precision_recall_curve):
        with pytest.raises(ValueError, match=words):
            function(scores, truth)


def test_the_band_holds_the_curve_and_narrows_with_cases() -> None:
    generator = np.random.default_rng(4)
    widths = []
    for count in (60, 600):
        truth = np.arange(count) % 2 == 0
        scores = generator.normal(size=count) + truth
        band, curve = roc_band(scores, truth, replicates=60), roc_curve(scores, truth)
        own = np.interp(band.false_positive_rate, curve.false_positive_rate, curve.sensitivity)
        middle = slice(20, 180)
        assert ((band.low <= own + 1e-9) & (own <= band.high + 1e-9))[middle].mean() > 0.9
        widths.append(float((band.high - band.low).mean()))
    assert widths[1] < widths[0] / 2


def arrays(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score / 10 for score, _ in pairs]), np.array([flag for _, flag in pairs])
