"""What a runner compares, and what it keeps from one run for another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundles.common.metrics.cases import Case, write_cases
from pretraining.experiments.comparing import comparisons, unmade
from pretraining.experiments.plan import Plan, Run, make_plan
from pretraining.experiments.pool import LocalPool
from pretraining.experiments.runner import Runner, Settings
from pretraining.experiments.spec import read_experiment
from pretraining.experiments.table import Row
from tests.unit.pretraining.experiments.made import cases, datalist, rows
from tests.unit.pretraining.experiments.test_spec import raw

TRAINED = {
    "label": "detector",
    "train": {
        "configs": ["bundles/chest_classification/configs/train.yaml"],
        "set": {"cache_dir": "{cache}", "size": 64},
    },
    "evaluate": {"configs": ["bundles/chest_classification/configs/evaluate.yaml"]},
}


def planned(tmp: Path, **changes: Any) -> Plan:
    """The plan of an experiment that is changed."""
    changes.setdefault("statistics", {"replicates": 5})
    path = tmp / "experiment.yaml"
    path.write_text(yaml.safe_dump(raw(**changes)))
    return make_plan(read_experiment(path, "small"), "small", "images")


def measured(plan: Plan, tmp: Path) -> dict[Run, Path]:
    """Cases of all runs."""
    found: dict[Run, Path] = {}
    for number, run in enumerate(plan.runs):
        found[run] = tmp / f"{number}.csv"
        made: Sequence[Case] = cases(30, number)
        write_cases(found[run], made)
    return found


def test_a_comparison_of_which_rows_are_lost_is_made_again(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    here = measured(plan, tmp_path)
    keys = {run: run.key for run in plan.runs}
    metadata = {case.case: {"view": "PA"} for case in cases(30, 0)}

    def made(there: Sequence[Row]) -> list[Row]:
        return list(comparisons(plan, here, keys, metadata, there))

    whole = made([])
    assert {row["rows"] for row in whole} == {4}
    assert made(whole) == []
    assert [row["key"] for row in made(whole[1:])] == [row["key"] for row in whole[:4]]
    assert [row["key"] for row in made(whole[4:])] == [row["key"] for row in whole[:4]]
    assert made([{name: value for name, value in row.items() if name != "rows"} for row in whole]) == []


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Of an experiment with a training, whose images are there."""
    laid_out = tmp_path / "laid_out"
    path = datalist(laid_out, training=rows(8, having=(1, 4)), test=rows(4, first=8, having=(9,)))
    prepared = prepared_of(path)
    monkeypatch.setattr("pretraining.experiments.runner.prepare", lambda *_: prepared)
    return made_with(tmp_path, TRAINED)


def prepared_of(path: Path) -> Any:
    """As `prepare` has it."""
    from pretraining.experiments.datalists import read
    from pretraining.experiments.preparing import Prepared

    return Prepared(path.parent, read(path), "images", 0)


def made_with(tmp: Path, task: Any, **changes: Any) -> Runner:
    """A runner of one task."""
    file = tmp / "experiment.yaml"
    file.write_text(yaml.safe_dump(raw(tasks={"detector": task}, **changes)))
    settings = Settings(tmp / "work", tmp / "table", None, LocalPool())
    return Runner(read_experiment(file, "small"), "small", settings, lambda _: None)


def caches(runner: Runner) -> set[str]:
    """Folders of prepared images that its trainings name."""
    jobs = [runner._job(run, Path("share.json")) for run in runner.plan.runs if run.initialisation == "random"]
    return {part.strip("'") for job in jobs for _, step in job.steps for part in step if "/cache/" in part}


def test_prepared_images_of_other_settings_are_not_taken(tmp_path: Path, runner: Runner) -> None:
    larger = {**TRAINED, "train": {**TRAINED["train"], "set": {"cache_dir": "{cache}", "size": 96}}}  # type: ignore[dict-item]
    one, other = caches(runner), caches(made_with(tmp_path, larger))
    assert (len(one), len(other)) == (1, 1)
    assert one != other
    assert caches(made_with(tmp_path, TRAINED)) == one


def test_a_share_that_other_code_drew_is_written_again(runner: Runner) -> None:
    path = runner._share(1.0, 0)
    right = path.read_text()
    path.write_text("{}")
    assert runner._share(1.0, 0).read_text() == right


def test_comparisons_that_cannot_be_made_here_are_counted(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    done = measured(plan, tmp_path)
    keys = {run: run.key for run in plan.runs}
    metadata = {case.case: {"view": "PA"} for case in cases(30, 0)}
    here = {run: path for run, path in done.items() if run.initialisation != "simclr"}
    made = list(comparisons(plan, here, keys, metadata, []))
    assert unmade(plan, done, keys, []) == 2
    assert unmade(plan, done, keys, made) == 1
    assert unmade(plan, done, keys, [*made, *comparisons(plan, done, keys, metadata, made)]) == 0
