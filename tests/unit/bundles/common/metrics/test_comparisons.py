"""Tests of two models against their definitions, written slowly, and against each other."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom, chi2, ttest_rel

from bundles.common.metrics import (
    area_under_roc,
    delong,
    mcnemar_corrected,
    mcnemar_exact,
    paired_t,
    stuart_maxwell,
)

small = st.integers(-3, 3)
cases = st.lists(st.tuples(small, small, st.booleans()), min_size=4, max_size=30)
flags = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40)


def slow_delong(scores: list[np.ndarray], truth: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Areas and covariance from every pair of cases, as DeLong et al. 1988 write them."""

    def won(positive: float, negative: float) -> float:
        return 1.0 if positive > negative else 0.5 if positive == negative else 0.0

    up, down = [], []
    for one in scores:
        positives, negatives = one[truth], one[~truth]
        up.append([np.mean([won(x, y) for y in negatives]) for x in positives])
        down.append([np.mean([won(x, y) for x in positives]) for y in negatives])
    areas = [float(np.mean(values)) for values in up]
    covariance = np.zeros((2, 2))
    for a, b in itertools.product(range(2), repeat=2):
        for parts in (up, down):
            count = len(parts[0])
            products = [(x - areas[a]) * (y - areas[b]) for x, y in zip(parts[a], parts[b], strict=True)]
            covariance[a, b] += sum(products) / (count - 1) / count
    return areas, covariance


@given(cases)
def test_delong_is_its_definition(rows: list[tuple[int, int, bool]]) -> None:
    first, second = np.array([float(row[0]) for row in rows]), np.array([float(row[1]) for row in rows])
    truth = np.array([row[2] for row in rows])
    if min(truth.sum(), (~truth).sum()) < 2:
        with pytest.raises(ValueError, match=r"with and without|two cases of each class"):
            delong(first, second, truth)
        return
    result = delong(first, second, truth)
    areas, covariance = slow_delong([first, second], truth)
    assert [result.first, result.second] == pytest.approx(areas)
    assert [result.first, result.second] == pytest.approx([area_under_roc(s, truth) for s in (first, second)])
    error = math.sqrt(max(0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    assert (result.high - result.low) / 2 == pytest.approx(1.959964 * error, abs=1e-6)
    if error > 1e-9:
        assert result.z == pytest.approx((areas[0] - areas[1]) / error, abs=1e-6)
        assert result.p == pytest.approx(math.erfc(abs(result.z) / math.sqrt(2)))


def test_one_model_twice_does_not_differ() -> None:
    scores, truth = np.array([0.1, 0.4, 0.2, 0.9, 0.3]), np.array([0, 1, 0, 1, 1])
    result = delong(scores, scores * 2 + 1, truth)
    assert (result.difference, result.z, result.p) == (0, 0, 1)


def test_opposite_models_differ_without_variance() -> None:
    truth = np.array([0, 0, 1, 1])
    result = delong(truth * 1.0, truth * -1.0, truth)
    assert (result.first, result.second, result.z, result.p) == (1, 0, math.inf, 0)


def test_delong_keeps_its_level() -> None:
    """Two equally good models: p below 0.05 in about 5 % of samples, with scores that share much."""
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        truth = generator.random(120) < 0.4
        common = generator.normal(size=120) + truth
        found += delong(common + generator.normal(size=120), common + generator.normal(size=120), truth).p < 0.05
    assert 0.015 < found / 200 < 0.09


@given(flags)
def test_mcnemar_is_its_definition(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [one for one, _ in pairs], [one for _, one in pairs]
    b = sum(one and not other for one, other in pairs)
    c = sum(other and not one for one, other in pairs)
    exact, corrected = mcnemar_exact(first, second), mcnemar_corrected(first, second)
    if b + c == 0:
        assert exact.p == corrected.p == 1
        return
    tail = sum(binom.pmf(k, b + c, 0.5) for k in range(min(b, c) + 1))
    assert exact.p == pytest.approx(min(1, 2 * tail))
    statistic = max(0, abs(b - c) - 1) ** 2 / (b + c)
    assert corrected.statistic == pytest.approx(statistic)
    assert corrected.p == pytest.approx(chi2.sf(statistic, 1))


@given(st.lists(st.integers(0, 20), min_size=9, max_size=9))
def test_stuart_maxwell_of_three_classes_is_the_closed_form(counts: list[int]) -> None:
    """Fleiss and Everitt 1971 give it without a matrix."""
    table = np.array(counts).reshape(3, 3)
    d = table.sum(1) - table.sum(0)
    n12, n13, n23 = ((table[a, b] + table[b, a]) / 2 for a, b in ((0, 1), (0, 2), (1, 2)))
    below = 2 * (n12 * n23 + n12 * n13 + n13 * n23)
    assume(below > 0)
    expected = (n23 * d[0] ** 2 + n13 * d[1] ** 2 + n12 * d[2] ** 2) / below
    result = stuart_maxwell(table)
    assert result.degrees_of_freedom == 2
    assert result.statistic == pytest.approx(expected, abs=1e-9)
    assert result.p == pytest.approx(chi2.sf(expected, 2))


def test_stuart_maxwell_of_two_classes_is_mcnemar_without_correction() -> None:
    result = stuart_maxwell([[10, 9], [3, 20]])
    assert result.statistic == pytest.approx((9 - 3) ** 2 / (9 + 3))
    assert result.degrees_of_freedom == 1


def test_unused_classes_cost_no_degree_of_freedom() -> None:
    with_unused = stuart_maxwell([[10, 9, 0], [3, 20, 0], [0, 0, 0]])
    assert with_unused == stuart_maxwell([[10, 9], [3, 20]])


def test_models_that_agree_do_not_differ() -> None:
    assert stuart_maxwell(np.diag([3, 4, 5])).p == 1


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=20))
def test_paired_t_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=float).T
    result = paired_t(first, second)
    if np.ptp(first - second) == 0:
        assert result.p == (1 if first[0] == second[0] else 0)
        assert result.low == result.high == result.difference == first[0] - second[0]
        return
    expected = ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    assert (result.t, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="two pairs"):
        paired_t([1], [2])
    with pytest.raises(ValueError, match="two pairs"):
        paired_t([1, 2, 3], [2, 3])
    with pytest.raises(ValueError, match="finite"):
        paired_t([1, np.nan], [2, 3])
    with pytest.raises(ValueError, match="one flag a case"):
        mcnemar_exact([True], [True, False])
    with pytest.raises(ValueError, match="one score and one label"):
        delong([1, 2, 3, 4], [1, 2, 3], [0, 0, 1, 1])


@pytest.mark.parametrize(("table", "words"), [([[1, 2]], "square"), ([[1]], "square"), ([[1, -1], [0, 2]], "whole")])
def test_tables_that_are_none_are_refused(table: list[list[int]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stuart_maxwell(table)
