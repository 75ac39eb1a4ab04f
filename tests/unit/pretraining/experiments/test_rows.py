"""What a run's folder gives to the table."""

import json
from pathlib import Path

import pytest

from bundles.common.strict import ConfigurationError
from pretraining.experiments.rows import _point_figures, row_key
from tests.unit.pretraining.experiments.test_runner import planned
from tests.unit.pretraining.experiments.test_spec import PROBE


def evaluation(folder: Path, point: str) -> Path:
    """As bundles/common/metrics writes it, with two of its figures."""
    names = ("accuracy", "sensitivity", "specificity", "precision", "f1")
    figures = {name: {"value": number / 8, "low": 0.0, "high": 1.0} for number, name in enumerate(names)}
    found = {"classification": {"fracture": {"points": {point: {"figures": figures}}}}}
    (folder / "evaluation.json").write_text(json.dumps(found))
    return folder


def test_accuracy_recall_specificity_and_f1_come_from_the_evaluation_of_the_bundle(tmp_path: Path) -> None:
    found = _point_figures(evaluation(tmp_path, "probability 0.5"), "at_half")
    assert [(one["metric"], one["value"]) for one in found] == [
        ("half_accuracy", 0.0),
        ("half_recall", 0.125),
        ("half_specificity", 0.25),
        ("half_f1", 0.5),
    ]
    assert {(one["finding"], one["stratum"], one["low"], one["high"]) for one in found} == {
        ("fracture", "all", 0.0, 1.0)
    }


def test_an_evaluation_without_that_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no figures at 'probability 0\.5' \(KeyError"):
        _point_figures(evaluation(tmp_path, "operating point"), "at_half")
    with pytest.raises(ConfigurationError, match="leave at_sensitivity out"):
        _point_figures(tmp_path / "none", "at_sensitivity")


def test_precision_at_80_percent_sensitivity_comes_from_the_evaluation_of_the_bundle(tmp_path: Path) -> None:
    found = _point_figures(evaluation(tmp_path, "sensitivity 80 %"), "at_sensitivity")
    assert [(one["metric"], one["value"]) for one in found] == [
        ("sensitive_precision", 0.375),
        ("sensitive_accuracy", 0.0),
        ("sensitive_recall", 0.125),
        ("sensitive_specificity", 0.25),
    ]


def test_what_is_measured_of_a_run_is_in_the_key_of_its_row(tmp_path: Path) -> None:
    asked = ({}, {"at_half": True}, {"at_sensitivity": True}, {"classes": True})
    plans = [planned(tmp_path, tasks={"probe": {**PROBE, **more}}) for more in asked]
    assert len({plan.runs[0].key for plan in plans}) == 1
    assert len({row_key(plan, plan.runs[0]) for plan in plans}) == 4
