"""The tests of two starts against SciPy, statsmodels and slow references."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import SquareTable, mcnemar
from statsmodels.stats.weightstats import DescrStatsW

from bundles.common.metrics import area_under_roc, delong, mcnemar_corrected, mcnemar_exact, paired_t, stuart_maxwell
from bundles.common.metrics.cases import Case, case_id, patient_id, slice_id
from pretraining.experiments.statistics import (
    align,
    area_difference,
    compare,
    convergence,
    figures,
    most_suspicious,
    over_runs,
    stability,
    strata,
)
from pretraining.experiments.statistics.paired import compare_classes
from tests.unit.pretraining.experiments.made import cases

counts = st.integers(0, 30)


def slow_area(scores: np.ndarray, truth: np.ndarray) -> float:
    """Share of pairs in which the case with the finding scores higher, ties half."""
    pairs = [
        1.0 if one > other else 0.5 if one == other else 0.0
        for one, other in itertools.product(scores[truth], scores[~truth])
    ]
    return float(np.mean(pairs)) if pairs else float("nan")


def slow_difference(first: list[list[Case]], second: list[list[Case]], replicates: int, seed: int) -> np.ndarray:
    """Differences of the mean area by drawing patients, with loops over patients and pairs."""
    by_patient: dict[str, list[str]] = {}
    for case in first[0]:
        by_patient.setdefault(case.patient, []).append(case.case)
    names, random = sorted(by_patient), np.random.default_rng(seed)
    drawn = []
    for _ in range(replicates):
        chosen = [name for index in random.integers(0, len(names), len(names)) for name in by_patient[names[index]]]
        means = []
        for arm in (first, second):
            areas = []
            for run in arm:
                found = {case.case: case for case in run}
                scores = np.array([found[name].score for name in chosen])
                areas.append(slow_area(scores, np.array([found[name].truth for name in chosen])))
            means.append(np.mean(areas))
        drawn.append(means[0] - means[1])
    return np.array(drawn)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_that_of_statsmodels(flags: list[tuple[bool, bool]]) -> None:
    first, second = (np.array([pair[side] for pair in flags]) for side in (0, 1))
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    if table[0][1] + table[1][0] == 0:
        assert mcnemar_exact(first, second).p == 1
        return
    assert mcnemar_exact(first, second).p == pytest.approx(mcnemar(table, exact=True).pvalue)
    if table[0][1] != table[1][0]:  # statsmodels lets the correction turn 0 into 1
        theirs = mcnemar(table, exact=False, correction=True)
        ours = mcnemar_corrected(first, second)
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))


@given(st.lists(st.lists(st.integers(1, 30), min_size=4, max_size=4), min_size=4, max_size=4))
def test_stuart_maxwell_is_that_of_statsmodels(table: list[list[int]]) -> None:
    ours, theirs = stuart_maxwell(table), SquareTable(np.array(table), shift_zeros=False).homogeneity("stuart_maxwell")
    assert (ours.statistic, ours.degrees_of_freedom) == pytest.approx((theirs.statistic, theirs.df))
    assert ours.p == pytest.approx(theirs.pvalue)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=20))
def test_paired_t_is_that_of_scipy_and_statsmodels(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    if np.ptp(first - second) < 1e-6:
        return
    ours, scipy, interval = paired_t(first, second), ttest_rel(first, second), DescrStatsW(first - second)
    assert (ours.t, ours.p) == pytest.approx((scipy.statistic, scipy.pvalue))
    assert (ours.low, ours.high) == pytest.approx(interval.tconfint_mean(0.05))


def test_the_interval_of_a_difference_is_that_of_a_slow_bootstrap_over_patients() -> None:
    first = [cases(36, seed, signal=2, patients=12) for seed in (1, 2)]
    second = [cases(36, seed, signal=0.5, patients=12) for seed in (3, 4)]
    ours = area_difference(align(first, second), 60, seed=5)
    drawn = slow_difference(first, second, 60, seed=5)
    low, high = np.percentile(drawn[np.isfinite(drawn)], (2.5, 97.5))
    assert (ours.low, ours.high) == pytest.approx((low, high))
    truth = np.array([case.truth for case in first[0]])
    areas = [[slow_area(np.array([case.score for case in run]), truth) for run in arm] for arm in (first, second)]
    assert ours.value == pytest.approx(np.mean(areas[0]) - np.mean(areas[1]))
    assert 2 * (min((drawn <= 0).sum(), (drawn >= 0).sum()) + 1) / 61 == pytest.approx(ours.p)


def test_every_test_of_two_starts_is_made_of_the_same_cases() -> None:
    aligned = align([cases(60, seed, signal=2) for seed in (1, 2)], [cases(60, seed, signal=0) for seed in (3, 4)])
    found = {test.test: test for test in compare(aligned, replicates=50)}
    assert list(found) == ["bootstrap", "delong", "mcnemar", "paired_t"]
    means = aligned.first.mean(axis=0), aligned.second.mean(axis=0)
    theirs = delong(*means, aligned.truth)
    assert (found["delong"].p, found["delong"].low) == pytest.approx((theirs.p, theirs.low))
    t = over_runs(aligned)
    areas = [[area_under_roc(run, aligned.truth) for run in arm] for arm in (aligned.first, aligned.second)]
    assert (found["paired_t"].p, t.difference) == pytest.approx((ttest_rel(*areas).pvalue, np.subtract(*areas).mean()))
    right = [most_suspicious(mean, 20) == aligned.truth for mean in means]
    table = [[(a & b).sum() for b in (right[1], ~right[1])] for a in (right[0], ~right[0])]
    assert found["mcnemar"].p == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert [test.runs for test in found.values()] == [2, 2, 2, 2]


def test_one_run_has_no_paired_t_and_one_class_no_test() -> None:
    one, other = [cases(30, 1)], [cases(30, 2)]
    assert [test.test for test in compare(align(one, other), replicates=10)] == ["bootstrap", "delong", "mcnemar"]
    without = [[case for case in run[0] if not case.truth] for run in (one, other)]
    assert compare(align([without[0]], [without[1]]), replicates=10) == ()


def test_a_start_against_itself_does_not_differ() -> None:
    run = [cases(45, 1)]
    found = compare(align(run, run), replicates=40)
    assert [(test.value, test.p) for test in found] == [(0, 1), (0, 1), (0, 1)]


def test_runs_on_other_cases_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different cases"):
        align([cases(30, 1)], [cases(31, 1)])
    with pytest.raises(ValueError, match="different cases"):
        align([cases(30, 1)], [cases(30, 1, patients=3)])
    with pytest.raises(ValueError, match="as many runs of both starts"):
        align([cases(30, 1)], [])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.integers(0, 30))
def test_so_many_are_called_and_none_below_scores_higher(scores: list[int], count: int) -> None:
    called = most_suspicious(np.array(scores, dtype=float), count)
    values = np.array(scores)
    assert called.sum() == min(count, len(scores))
    if called.any() and not called.all():
        assert values[called].min() >= values[~called].max()


def test_classes_that_exclude_each_other_are_compared_by_how_often_they_are_called() -> None:
    random = np.random.default_rng(0)
    arms = []
    for bias in (0.0, 0.8):
        scores = random.normal(size=(3, 50)) + np.array([[bias], [0], [0]])
        names = ("a", "b", "c")
        arms.append(
            [
                Case(name, case_id(str(n)), patient_id(str(n)), n % 3 == k, float(scores[k, n]))
                for k, name in enumerate(names)
                for n in range(50)
            ]
        )
    order = sorted(range(50), key=lambda n: case_id(str(n)))
    calls = [
        np.argmax(
            [
                [next(c.score for c in arm if (c.finding, c.case) == (name, case_id(str(n)))) for n in order]
                for name in "abc"
            ],
            axis=0,
        )
        for arm in arms
    ]
    table = np.array([[((calls[0] == i) & (calls[1] == j)).sum() for j in range(3)] for i in range(3)])
    theirs = SquareTable(table, shift_zeros=False).homogeneity("stuart_maxwell")
    found = compare_classes([arms[0]], [arms[1]])
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_slices_are_where_their_volume_is() -> None:
    run = [replace(case, case=slice_id(f"{n // 3}.nii", n)) for n, case in enumerate(cases(9, 1))]
    metadata = {case_id(f"{n}.nii"): {"plane": "axial" if n else "sagittal"} for n in range(3)}
    parts = strata(run, metadata, ["plane"])
    assert {name: len(inside) for name, inside in parts.items()} == {
        "all": 9,
        "plane = axial": 6,
        "plane = sagittal": 3,
    }


def test_figures_are_given_within_each_view_and_a_view_of_one_class_has_none() -> None:
    run = cases(30, 1)
    metadata = {case.case: {"view": "AP" if case.truth else "PA" if n % 2 else "AP"} for n, case in enumerate(run)}
    parts = strata(run, metadata, ["view"])
    assert list(parts) == ["all", "view = AP", "view = PA"]
    found = {(one.stratum, one.metric): one for one in figures(run, parts, replicates=20)}
    truth = np.array([case.truth for case in run])
    assert found["all", "auroc"].value == pytest.approx(slow_area(np.array([case.score for case in run]), truth))
    assert np.isnan(found["view = PA", "auroc"].value)
    assert (found["view = PA", "auroc"].positives, found["all", "auroc"].positives) == (0, 10)
    with pytest.raises(ValueError, match="no image of the datalist has 'sex'"):
        strata(run, metadata, ["sex"])
    with pytest.raises(ValueError, match="not in the datalist"):
        strata(run, {}, [])


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.floats(-0.5, 1)), max_size=20))
def test_convergence_is_the_first_epoch_at_98_percent_of_the_best(scores: list[float | None]) -> None:
    rows = [{"epoch": epoch + 1, "score": value} for epoch, value in enumerate(scores)]
    known = [value for value in scores if value is not None]
    found = convergence(rows, "score")  # type: ignore[arg-type]
    if not known or max(known) <= 0:
        assert found is None
        return
    slow = next(row["epoch"] for row in rows if row["score"] is not None and row["score"] >= 0.98 * max(known))
    assert found == slow


def test_a_figure_that_was_not_measured_is_named() -> None:
    with pytest.raises(ValueError, match="no validation figure 'auc'; there are: score"):
        convergence([{"epoch": 1, "score": 0.5}], "auc")


def test_unrest_and_peaks_are_of_the_second_half() -> None:
    losses = [9.0, 1.0, 4.0, 2.0, 4.0, 2.0]
    curve = [
        {"epoch": 1 + n // 3, "loss": loss, "gradient_norm": norm}
        for n, (loss, norm) in enumerate(zip(losses, [50, 1, 1, 2, 6, 2], strict=True))
    ]
    found = stability(curve)
    assert found is not None
    assert (found.epochs, found.first_loss, found.last_loss) == (2, pytest.approx(14 / 3), pytest.approx(8 / 3))
    assert found.jitter == pytest.approx(np.std([2.0, -2.0]) / (8 / 3))
    assert found.gradient_peak == 3
    assert stability(curve[:3]) is None
