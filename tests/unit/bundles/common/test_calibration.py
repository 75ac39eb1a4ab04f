"""Calibration is read as written and for its own weights alone; thresholds land where they belong."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from structlog.testing import capture_logs

from bundles.common.calibration import Cut, read_calibration, service_cuts, write_calibration, write_thresholds
from bundles.common.contract import load_service
from bundles.common.fitting import fit_finding
from bundles.common.yaml_values import set_values

SERVICE = """\
title: Chest
reads: image
accepts: {Modality: CR}
findings:
- finding: lung_lesion  # the main one
  probability: probabilities
  threshold: 0.5
  regions: {threshold: 0.5, index: 0}
- {finding: pneumothorax, probability: probabilities, threshold: 0.5, regions: {index: 1, threshold: 0.5}}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    return tmp_path


def test_calibration_is_read_as_written(bundle: Path) -> None:
    assert read_calibration(str(bundle)) == {}
    write_calibration(bundle, {"hemorrhage": (1.23456, -0.5)}, cases=3)
    assert read_calibration(str(bundle)) == {"hemorrhage": (1.2346, -0.5)}
    text = (bundle / "configs/calibration.yaml").read_text()
    assert "says nothing about patients" in text
    write_calibration(bundle, {"hemorrhage": (1.0, 0.0)}, cases=3, data="a hospital, validation")
    assert "says nothing about patients" not in (bundle / "configs/calibration.yaml").read_text()


def test_other_weights_are_not_calibrated_and_that_is_said(bundle: Path) -> None:
    for name in ("own", "other"):
        (bundle / name).write_text(name)
    write_calibration(bundle, {"fracture": (2.0, 0.0)}, cases=3, weights=str(bundle / "own"))
    assert read_calibration(str(bundle), str(bundle / "own")) == {"fracture": (2.0, 0.0)}
    with capture_logs() as logs:
        assert read_calibration(str(bundle), str(bundle / "other")) == {}
    assert [entry["event"] for entry in logs] == ["not_calibrated"]


def test_thresholds_land_at_their_findings_and_nothing_else_changes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "bundles/head_ct_hemorrhage/configs", tmp_path / "configs")
    before = load_service(tmp_path)
    values = {output.finding: 0.1 * (index + 1) for index, output in enumerate(before.findings)}
    write_thresholds(tmp_path, values)
    after = load_service(tmp_path)
    assert {output.finding: output.threshold for output in after.findings} == pytest.approx(values)
    assert service_cuts(str(tmp_path))["intracranial_hemorrhage"] == Cut(0.1, None)
    assert after.model_copy(update={"findings": before.findings}) == before
    assert "# Evidence that this is a head" in (tmp_path / "configs/service.yaml").read_text()


def test_thresholds_of_boxes_are_their_own(bundle: Path) -> None:
    path = bundle / "configs/service.yaml"
    path.write_text(SERVICE)
    write_thresholds(bundle, {"pneumothorax": 0.25}, {"lung_lesion": 0.125, "pneumothorax": 0.75})
    first, second = yaml.safe_load(path.read_text())["findings"]
    assert service_cuts(str(bundle)) == {}, "cuts go with the calibration, and nothing was calibrated"
    write_calibration(bundle, {"lesion": (1.0, 0.0)}, cases=3)
    assert service_cuts(str(bundle)) == {"lung_lesion": Cut(0.5, 0.125), "pneumothorax": Cut(0.25, 0.75)}
    assert (first["threshold"], first["regions"]) == (0.5, {"threshold": 0.125, "index": 0})
    assert (second["threshold"], second["regions"]) == (0.25, {"index": 1, "threshold": 0.75})
    assert "# the main one" in path.read_text()


def test_a_contract_without_a_finding_or_without_boxes_is_refused(bundle: Path) -> None:
    path = bundle / "configs/service.yaml"
    path.write_text("findings:\n- {finding: wrist_fracture, threshold: 0.5}\n")
    with pytest.raises(ValueError, match="intracranial_hemorrhage"):
        write_thresholds(bundle, {"intracranial_hemorrhage": 0.5})
    with pytest.raises(ValueError, match=r"findings\.0\.regions\.threshold"):
        write_thresholds(bundle, {"wrist_fracture": 0.25}, {"wrist_fracture": 0.5})
    assert yaml.safe_load(path.read_text()) == {"findings": [{"finding": "wrist_fracture", "threshold": 0.5}]}


def test_values_of_json_are_set_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{\n    "a": {"b": [512, 512]},\n    "c": "512"\n}\n')
    set_values(path, {("a", "b", 0): "384", ("a", "b", 1): "256"})
    assert path.read_text() == '{\n    "a": {"b": [384, 256]},\n    "c": "512"\n}\n'
    with pytest.raises(ValueError, match=r"a\.b, to be replaced by 1"):
        set_values(path, {("c",): "9", ("a", "b"): "1"})
    assert '"c": "512"' in path.read_text()


def test_what_is_fitted_is_calibrated_and_balanced() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random(4000) < 0.3).astype(float)
    logits = 3 * (generator.normal(2 * labels - 1, 1) + 0.4)
    labels[:100] = np.nan
    fitted = fit_finding(logits, labels)
    assert fitted.cases == 3900
    # Normal classes one standard deviation from the middle: the log odds are 2 x + log(0.3 / 0.7), and x is a third of
    # the logit less 0.4.
    assert fitted.scale == pytest.approx((2 / 3, np.log(3 / 7) - 0.8), abs=0.1)
    assert fitted.point.sensitivity == pytest.approx(fitted.point.specificity, abs=0.01)
    assert fitted.threshold == pytest.approx(0.3, abs=0.03)
