"""The earliest epoch near the best."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.metrics import convergence_epoch, epochs_saved


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=30), st.sampled_from([0.9, 0.98, 1.0]))
def test_no_earlier_epoch_reaches_the_share(figures: list[float], share: float) -> None:
    epoch = convergence_epoch(figures, share)
    assert figures[epoch - 1] >= share * max(figures)
    assert all(figure < share * max(figures) for figure in figures[: epoch - 1])


def test_epochs_that_were_not_measured_are_passed_over() -> None:
    assert convergence_epoch([0.5, np.nan, 0.89, np.nan, 0.9]) == 3


def test_the_share_saved_is_that_of_the_paper() -> None:
    assert epochs_saved(28, 100) == pytest.approx(0.72)
    assert epochs_saved(20, 10) == -1


@pytest.mark.parametrize(
    ("figures", "share", "words"),
    [
        ([], 0.98, "figure for each epoch"),
        ([np.nan], 0.98, "without a finite one"),
        ([-1.0, -0.5], 0.98, "positive best"),
        ([0.5], 0.0, "share of the best"),
    ],
)
def test_curves_without_a_best_are_refused(figures: list[float], share: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convergence_epoch(figures, share)
    with pytest.raises(ValueError, match="count from 1"):
        epochs_saved(0, 3)
