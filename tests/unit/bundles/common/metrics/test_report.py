"""From cases to JSON, and from JSON alone to the model card."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from bundles.common.metrics import bootstrap_auc, image_boxes, measure_froc
from bundles.common.metrics.card import card_section
from bundles.common.metrics.report import Evaluation, report_classification, report_detection, write_json


def cases(count: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.random(count) < 0.4
    probabilities = np.clip(generator.normal(0.35 + 0.3 * truth, 0.2), 0, 1)
    return probabilities, truth, generator.integers(0, count // 2, count)


def images() -> list:
    found = image_boxes("a", [[0, 0, 4, 4], [5, 5, 9, 9]], [0.9, 0.4], [[0, 0, 4, 4]])
    return [found, image_boxes("b", [], [], [[0, 0, 4, 4]]), image_boxes("c", [], [], [])]


def evaluation(**changes: object) -> Evaluation:
    probabilities, truth, patients = cases()
    given = {
        "bundle": "wrist_fracture 0.1.0",
        "weights_sha256": "ab" * 32,
        "data": "phantom: wrists, seed 7",
        "created": "2026-11-21",
        "replicates": 20,
        "classification": {
            "fracture": report_classification(
                probabilities, truth, patients, thresholds={"service": 0.5}, replicates=20
            )
        },
        "detection": {"lesion": report_detection(images(), replicates=20)},
        "notes": ("Chosen once.",),
        "extra": {"array": np.arange(2), "undefined": float("nan"), "number": np.float32(0.5)},
    }
    return Evaluation(**{**given, **changes})


def test_figures_are_those_of_scikit_learn() -> None:
    probabilities, truth, patients = cases()
    report = report_classification(probabilities, truth, patients, thresholds={"service": 0.5}, replicates=30)
    assert report.auroc.value == pytest.approx(sklearn_metrics.roc_auc_score(truth, probabilities))
    area = bootstrap_auc(probabilities, truth, patients, 30)
    assert (report.auroc.low, report.auroc.high) == (area.low, area.high)
    point = report.points["service"]
    called = probabilities >= 0.5
    assert point.figures["precision"].value == pytest.approx(sklearn_metrics.precision_score(truth, called))
    assert point.figures["f1"].value == pytest.approx(sklearn_metrics.f1_score(truth, called))
    assert point.figures["sensitivity"].low < point.figures["sensitivity"].value < point.figures["sensitivity"].high
    assert point.exact["specificity"].value == point.figures["specificity"].value
    assert (report.cases, report.patients) == (80, len(np.unique(patients)))


def test_it_is_said_where_a_threshold_was_chosen() -> None:
    points = evaluation().classification["fracture"].points
    assert {name: point.chosen_on for name, point in points.items()} == {
        "service": "elsewhere",
        "specificity 95 %": "these cases",
        "sensitivity 80 %": "these cases",
        "sensitivity = specificity": "these cases",
    }
    assert points["specificity 95 %"].figures["specificity"].value >= 0.95
    assert points["sensitivity 80 %"].figures["sensitivity"].value >= 0.80


def test_a_threshold_cannot_take_the_name_of_a_chosen_point() -> None:
    probabilities, truth, _ = cases()
    with pytest.raises(ValueError, match="name the threshold otherwise"):
        report_classification(probabilities, truth, thresholds={"sensitivity 80 %": 0.5}, replicates=1)


def test_one_class_alone_has_neither_areas_nor_points() -> None:
    report = report_classification([0.2, 0.4], [0, 0], thresholds={"service": 0.3}, replicates=5)
    assert np.isnan([report.auroc.value, report.average_precision.value]).all()
    assert list(report.points) == ["service"]
    assert np.isnan(report.points["service"].figures["sensitivity"].value)
    assert report.points["service"].figures["specificity"].value == 0.5


def test_boxes_are_reported_as_measured() -> None:
    report, curve = report_detection(images(), replicates=20), measure_froc(images(), replicates=20)
    assert report.froc_average == curve.average
    assert report.sensitivity_at_rates == tuple(curve.at_rates)
    assert report.average_precision.value == 0.5


def test_json_keeps_everything_and_has_null_where_nothing_is_defined(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "evaluation.json"
    write_json(path, evaluation())
    kept = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert kept["extra"] == {"array": [0, 1], "undefined": None, "number": 0.5}
    probabilities, truth, _ = cases()
    expected = round(sklearn_metrics.roc_auc_score(truth, probabilities), 6)
    assert kept["classification"]["fracture"]["auroc"]["value"] == expected
    assert len(kept["detection"]["lesion"]["rates"]) == 9


def test_the_card_is_filled_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, evaluation())
    kept, card = json.loads(path.read_text()), card_section(path)
    area = kept["classification"]["fracture"]["auroc"]
    assert f"| fracture | {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f}) |" in card
    assert "**Measured on phantoms:**" in card
    assert "abababababab" in card
    assert "| fracture | service | 0.500 |" in card
    assert "| fracture | sensitivity 80 % * |" in card
    assert "flatters" in card
    assert "- Chosen once." in card
    assert "| lesion | " in card
    tables = [block.splitlines() for block in card.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table}) == 1


def test_a_changed_file_changes_the_card(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, evaluation(data="GRAZPEDWRI-DX, test part", detection={}, notes=()))
    kept = json.loads(path.read_text())
    kept["classification"]["fracture"]["auroc"] = {"value": None, "low": None, "high": None, "replicates": 0}
    kept["classification"]["fracture"]["points"] = {}
    path.write_text(json.dumps(kept))
    card = card_section(path)
    assert "phantom" not in card
    assert "| fracture | – |" in card
    assert "No operating point" in card
    assert "fROC" not in card


def test_names_cannot_break_a_table(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, evaluation(detection={"a|b": report_detection(images(), replicates=0)}))
    card = card_section(path)
    assert "a\\|b" in card


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "evaluation 0"}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="expected"):
        card_section(path)
    with pytest.raises(ValueError, match="expected an evaluation"):
        card_section(tmp_path / "missing.json")
