"""Which start loses more by a change of the images, against the slow way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bundles.common.metrics import Difference
from bundles.common.metrics.cases import Case, write_cases
from pretraining.experiments.losing import difference_of_losses, loss_rows
from pretraining.experiments.plan import make_plan
from pretraining.experiments.spec import read_experiment
from tests.unit.pretraining.experiments.made import cases
from tests.unit.pretraining.experiments.test_spec import PROBE, TRAIN, robust, written


def arms() -> list[list[list[Case]]]:
    """First after and before, second after and before; two runs each, two images a patient."""
    signals = enumerate((1.2, 1.5, 0.4, 1.5))
    return [[cases(60, 10 * n + seed, signal=signal, patients=30) for seed in (0, 1)] for n, signal in signals]


def lost(made: list[list[list[Case]]], replicates: int, seed: int = 0) -> Difference | None:
    """Of the four arms."""
    return difference_of_losses((made[0], made[1]), (made[2], made[3]), replicates=replicates, seed=seed)


def area(run: list[Case], chosen: list[int]) -> float:
    return float(roc_auc_score([run[n].truth for n in chosen], [run[n].score for n in chosen]))


def test_the_difference_of_losses_and_its_interval_equal_a_slow_reference() -> None:
    made = arms()

    def slow(chosen: list[int]) -> float:
        after, before, other_after, other_before = (np.mean([area(run, chosen) for run in arm]) for arm in made)
        return float((after - before) - (other_after - other_before))

    patients = [case.patient for case in made[0][0]]
    random, drawn = np.random.default_rng(3), []
    names = sorted(set(patients))
    for _ in range(40):
        taken = [names[index] for index in random.integers(0, len(names), len(names))]
        drawn.append(slow([n for name in taken for n, patient in enumerate(patients) if patient == name]))
    found = lost(made, 40, 3)
    assert found is not None
    assert found.value == pytest.approx(slow(list(range(60))))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def test_the_order_of_the_cases_does_not_matter_and_other_cases_are_refused() -> None:
    made = arms()
    straight = lost(made, 5)
    made[2][1] = made[2][1][::-1]
    assert lost(made, 5) == straight
    turned = [[[replace(case, truth=not case.truth) for case in run] for run in arm] for arm in made[2:]]
    with pytest.raises(ValueError, match="measured on different cases"):
        lost([*made[:2], *turned], 5)


def test_without_both_classes_there_is_no_difference() -> None:
    made = [[[case for case in run if case.truth] for run in arm] for arm in arms()]
    assert lost(made, 5) is None


def test_rows_come_for_each_change_and_pair_of_networks_once(tmp_path: Path) -> None:
    base = written(tmp_path, tasks={"fine": {**PROBE, "train": TRAIN}}, statistics={"replicates": 10})
    asked = read_experiment(robust(tmp_path, base, statistics={"replicates": 10}), "small")
    plan = make_plan(asked, "small", "data")
    here = {run: tmp_path / f"{number}.csv" for number, run in enumerate(plan.runs)}
    for number, path in enumerate(here.values()):
        write_cases(path, cases(30, number))
    keys = {run: run.key for run in plan.runs}
    rows = list(loss_rows(plan, here, keys, []))
    assert {(row["task"], row["second"], row["finding"]) for row in rows} == {("dark", "random", "mass")}
    assert "metadata" not in {row["first"] for row in rows}
    assert all(row["runs"] == len(asked.seeds) and len(row["of"]) == 4 * row["runs"] for row in rows)
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert list(loss_rows(plan, here, keys, rows)) == []
    unchanged = {run: path for run, path in here.items() if run.task == "dark"}
    assert list(loss_rows(plan, unchanged, keys, [])) == []
