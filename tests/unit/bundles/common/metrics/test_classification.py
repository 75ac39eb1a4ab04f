"""Figures at a threshold against scikit-learn; what is undefined is NaN, where scikit-learn says 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from bundles.common.metrics import calls, confusion_matrix, known

labelled = st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1, max_size=40)
NAMES = ("frontal", "lateral", "wrist")


@given(labelled, st.integers(-1, 11))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, bool]], threshold: int) -> None:
    scores = np.array([score for score, _ in pairs])
    truth = np.array([flag for _, flag in pairs])
    called = scores >= threshold
    counted = calls(scores, truth, threshold)
    assert counted.accuracy == pytest.approx(sklearn_metrics.accuracy_score(truth, called))
    options = {"zero_division": np.nan}
    expected = {
        "sensitivity": sklearn_metrics.recall_score(truth, called, **options),
        "recall": sklearn_metrics.recall_score(truth, called, **options),
        "specificity": sklearn_metrics.recall_score(~truth, ~called, **options),
        "precision": sklearn_metrics.precision_score(truth, called, **options),
        "f1": sklearn_metrics.f1_score(truth, called, **options),
    }
    assert {name: getattr(counted, name) for name in expected} == pytest.approx(expected, nan_ok=True)


def test_no_case_makes_every_figure_undefined() -> None:
    counted = calls([], [], 0.5)
    assert np.isnan([counted.accuracy, counted.sensitivity, counted.specificity, counted.precision, counted.f1]).all()


def test_a_case_at_the_threshold_is_called() -> None:
    assert calls([0.5], [True], 0.5).true_positives == 1


def test_a_threshold_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold is NaN"):
        calls([0.5], [True], float("nan"))


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=30))
def test_confusion_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = [one for one, _ in pairs], [one for _, one in pairs]
    matrix = confusion_matrix(truth, predicted, NAMES)
    if not pairs:
        assert matrix.tolist() == np.zeros((3, 3)).tolist()
        return
    assert matrix.tolist() == sklearn_metrics.confusion_matrix(truth, predicted, labels=NAMES).tolist()


@pytest.mark.parametrize(
    ("truth", "predicted", "classes", "words"),
    [
        (["wrist"], [], NAMES, "prediction for each of 1"),
        (["hand"], ["wrist"], NAMES, "hand: none of the classes"),
        ([], [], ("wrist", "wrist"), "named twice"),
    ],
)
def test_a_confusion_that_makes_no_sense_is_refused(
    truth: list[str], predicted: list[str], classes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        confusion_matrix(truth, predicted, classes)


def test_unknown_labels_are_found() -> None:
    assert known([0, 1, np.nan]).tolist() == [True, True, False]
    assert known([True, False]).all()
