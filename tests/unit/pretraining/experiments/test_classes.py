"""Classes that exclude each other: accuracy, and the pages on which their networks are looked at."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from bundles.common.metrics.cases import FILE, Case, case_id, patient_id
from pretraining.experiments.panels import asked, job
from pretraining.experiments.plan import Plan, make_plan
from pretraining.experiments.report import write_report
from pretraining.experiments.spec import read_experiment
from pretraining.experiments.statistics import strata
from pretraining.experiments.statistics.classes import accuracies
from pretraining.experiments.table import ResultTable
from tests.unit.pretraining.experiments.test_report import compared, every
from tests.unit.pretraining.experiments.test_spec import raw

NAMES = ("normal", "mass", "air")


def told(count: int) -> list[Case]:
    """Every class of every case; cases in no order."""
    scores = np.random.default_rng(5).normal(size=(count, len(NAMES)))
    scores[np.arange(count), np.arange(count) % 3] += 1
    made = [
        Case(name, case_id(f"{n}.png"), patient_id(f"P{n // 2}"), n % 3 == place, float(scores[n, place]))
        for place, name in enumerate(NAMES)
        for n in range(count)
    ]
    order = np.random.default_rng(6).permutation(len(made))
    return sorted((made[place] for place in order), key=lambda case: NAMES.index(case.finding))


def test_accuracy_is_that_of_counting() -> None:
    cases = told(60)
    metadata = {case_id(f"{n}.png"): {"view": "AP" if n % 2 else "PA"} for n in range(60)}
    parts = strata(cases, metadata, ["view"])
    for figure in accuracies(cases, parts, replicates=50):
        right = 0
        for name in parts[figure.stratum]:
            own = {case.finding: case for case in cases if case.case == name}
            likeliest = max(NAMES, key=lambda finding, own=own: own[finding].score)
            right += own[likeliest].truth
        total = len(parts[figure.stratum])
        assert (figure.value, figure.positives, figure.negatives) == (right / total, right, total - right)
        assert figure.low < figure.value < figure.high
        assert (figure.finding, figure.metric) == ("all classes", "accuracy")


def test_findings_that_do_not_exclude_each_other_are_refused() -> None:
    cases = told(9)
    parts = {"all": {case.case for case in cases}}
    both = [Case(c.finding, c.case, c.patient, True, c.score) for c in cases]
    for wrong, why in ((both, "none or several"), (cases[:9], "at least two"), (cases[:-1], "asked of every case")):
        with pytest.raises(ValueError, match=why):
            list(accuracies(wrong, parts, replicates=0))


def planned(tmp: Path) -> Plan:
    """Two starts, trained, with panels."""
    bundle = "bundles/chest_classification/configs"
    where = {"output_dir": "{run}", "datalist": "{datalist}"}
    task = {
        "label": "classes",
        "classes": True,
        "train": {"configs": [f"{bundle}/train.yaml"], "set": {**where, "encoder_weights": "{encoder}"}},
        "evaluate": {"configs": [f"{bundle}/evaluate.yaml"], "set": {**where, "weights": "{run}/train/best.pt"}},
        "panels": {"configs": [f"{bundle}/evaluate.yaml", f"{bundle}/panels.yaml"], "set": where},
    }
    path = tmp / "experiment.yaml"
    path.write_text(yaml.safe_dump(raw(tasks={"six": task})))
    return make_plan(read_experiment(path, "small"), "small", "data")


def test_a_page_shows_the_starts_that_are_finished(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    keys = {run: f"row of {run.key}" for run in plan.runs}
    here = {run: tmp_path / run.key / FILE for run in plan.runs}
    assert list(asked(plan, {}, keys)) == []
    (page,) = asked(plan, here, keys)
    assert (list(page.models), page.seed, page.fraction, len(page.of)) == (["random", "simclr"], 0, 1.0, 2)
    lost = next(run for run in plan.runs if run.initialisation == "simclr" and run.seed == 0)
    (part,) = asked(plan, {run: path for run, path in here.items() if run is not lost}, keys)
    assert (list(part.models), part.key != page.key) == (["random"], True)
    values = dict.fromkeys(("run", "datalist"), str(tmp_path))
    ((_, command),) = job(page, tmp_path / page.key, values, 1).steps
    models = command[command.index("--models") + 1]
    first = next(run for run in plan.runs if run.initialisation == "random")
    assert f"'random weights': '{tmp_path / first.key}/train/best.pt'" in models
    assert "'SimCLR': " in models


def test_the_page_says_the_test_and_where_the_panels_lie(tmp_path: Path) -> None:
    runs = every()
    figure = {"finding": "all classes", "stratum": "all", "metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6}
    runs[1]["figures"] = [*runs[1]["figures"], figure]
    panels = {
        "kind": "panels", "key": "p", "experiment": "tried", "variant": "small", "task": "probe", "fraction": 0.5,
        "seed": 0, "starts": ["random", "simclr"], "of": ["simclr0.50", "random0.50"], "page": "panels/p/grad_cam.md",
    }  # fmt: skip
    gone = {**panels, "key": "q", "of": ["a run that is no more"], "page": "panels/q/grad_cam.md"}
    ResultTable(tmp_path).append([*runs, {**compared("stuart_maxwell", None, 0.03), "finding": ""}, panels, gone])
    write_report(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "Stuart-Maxwell, 50% of labels, SimCLR against random weights: p 0.030." in page
    assert "`panels/p/grad_cam.md` in the folder of the work" in page
    assert "panels/q" not in page
    assert "Accuracy of the likeliest class:\n\n| Start | Finding | 100% | 50% |" in page
    assert "| random weights | all classes | 0.500 (0.400 to 0.600) | – |" in page
