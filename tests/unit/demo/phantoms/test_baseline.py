"""The rule without learning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.phantoms.baseline import area_under_curve, intracranial, threshold_baseline


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_pairs_in_the_right_order(cases: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([c[0] for c in cases], dtype=float), np.array([c[1] for c in cases])
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="needs both classes"):
            area_under_curve(scores, labels)
        return
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels] for n in scores[~labels]]
    assert area_under_curve(scores, labels) == pytest.approx(sum(pairs) / len(pairs))


def _head() -> np.ndarray:
    volume = np.full((1, 60, 60), -1000, dtype=np.int16)
    volume[0, 5:55, 5:55] = 1000
    volume[0, 8:52, 8:52] = 30
    return volume


def test_only_what_bone_encloses_counts_without_the_margin() -> None:
    inside = intracranial(_head(), 1.0, margin_mm=4.0)
    assert int(inside.sum()) == 36 * 36


def test_bright_voxels_are_counted_in_millilitres() -> None:
    volume = _head()
    volume[0, 20:30, 20:30] = 70
    volume[0, 2, 2] = 70
    assert threshold_baseline(volume, 1.0, 5.0, smooth_mm=0.0) == pytest.approx(0.5)
    assert threshold_baseline(_head(), 1.0, 5.0) == 0
