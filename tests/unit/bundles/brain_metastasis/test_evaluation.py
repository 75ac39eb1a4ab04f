"""Calibration goes where service and inference read it; a release shows what the paper reports."""

import json

import numpy as np
import pytest
import torch
import yaml

from bundles.brain_metastasis.scripts.evaluation import HEADS, SLICES, Measured, evaluate, fit
from bundles.brain_metastasis.scripts.network import BrainMetastasisNet
from bundles.brain_metastasis.scripts.release import figures
from bundles.common.calibration import read_calibration
from bundles.common.manifest import Metric
from bundles.common.metrics.cases import patient_id, read_cases, slice_id
from bundles.common.metrics.lesion_words import lesion_notes
from bundles.common.metrics.lesions import LesionCase
from bundles.common.metrics.writing import About

SERVICE = """\
title: Brain metastases
accepts: {Modality: MR}
findings:
- finding: brain_metastasis
  probability: probabilities
  threshold: 0.5
"""


def measured_heads(heads=40, slices=30):
    """Heads of which every second has metastases in a third of its slices, and noise."""
    rng = np.random.default_rng(2)
    ill = np.arange(heads) % 2
    truth = np.repeat(ill, slices) * np.tile(np.arange(slices) < slices // 3, heads)
    logits = truth * 2.0 + rng.normal(0, 1, heads * slices)
    study = logits.reshape(heads, slices).max(axis=1)
    cases = [
        LesionCase(
            f"p{n}", np.array([2.0, 12.0] if sick else []), np.array([False, True] if sick else [], bool), 1, 0.5
        )
        for n, sick in enumerate(ill)
    ]
    return Measured(
        patients=tuple(f"p{n}" for n in range(heads)),
        names=tuple(f"{n}.nii.gz" for n in range(heads)),
        study_logits=study,
        study_probabilities=1 / (1 + np.exp(-study)),
        labels=ill.astype(float),
        slice_logits=logits,
        slice_labels=truth.astype(float),
        slice_scale=(1.0, 0.0),
        head_of_slice=np.repeat(np.arange(heads), slices),
        number_of_slice=np.tile(np.arange(slices), heads),
        lesions=tuple(cases),
    )


def test_a_fit_is_what_service_and_inference_read(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/service.yaml").write_text(SERVICE)
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    fit(measured_heads(), bundle_root=str(tmp_path), weights=str(weights), data="phantom: x")
    scale = read_calibration(str(tmp_path), str(weights))
    assert set(scale) == {"study", "slices"}
    assert scale["slices"][0] == pytest.approx(2.0, abs=0.3)
    service = yaml.safe_load((tmp_path / "configs/service.yaml").read_text())
    assert 0.1 < service["findings"][0]["threshold"] < 0.9
    assert service["findings"][0]["threshold"] != 0.5


def test_a_release_shows_what_the_paper_reports_and_lesions_by_size(tmp_path):
    about = About("brain_metastasis", "0" * 64, "phantom: x", "2026-11-21")
    evaluate(measured_heads(), {"service": 0.9}, about, output_dir=str(tmp_path), replicates=20)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    shown = figures(report)
    assert all(isinstance(metric, Metric) for metric in shown.values())
    assert set(shown) == {
        "slices", "precision", "heads", "sensitivity", "specificity", "lesions_0", "lesions_10", "dice",
    }  # fmt: skip
    slices = report["classification"][SLICES]
    assert shown["slices"].value == slices["auroc"]["value"] > 0.85
    assert shown["precision"].value == slices["points"]["sensitivity 80 %"]["figures"]["precision"]["value"]
    assert report["classification"][HEADS]["patients"] == 40
    assert (shown["lesions_0"].value, shown["lesions_10"].value, shown["lesions_10"].positives) == (0.0, 1.0, 20)
    assert (tmp_path / "roc.png").is_file()
    cases = read_cases(tmp_path / "cases.csv")
    assert [sum(case.finding == name for case in cases) for name in (HEADS, SLICES)] == [40, 1200]
    ill = next(case for case in cases if case.case == slice_id("1.nii.gz", 9))
    assert (ill.truth, ill.patient) == (True, patient_id("p1"))
    card = (tmp_path / "model_card_section.md").read_text()
    assert "0 to 3 mm: 0 % (0 to 0) of 20; from 10 mm: 100 % (100 to 100) of 20" in card
    assert "False lesions a head: 1.00" in card


def test_heads_without_metastases_say_so():
    assert lesion_notes({"lesions": 0, "volumes": 3}) == ("No head of the 3 has metastases, so none could be found.",)


def test_what_must_agree_between_configurations_does(configured, root):
    plain = {
        name: yaml.safe_load((root / f"bundles/brain_metastasis/configs/{name}.yaml").read_text())
        for name in ("train", "evaluate", "inference")
    }
    for key in ("spacing_mm", "box", "backbone", "widths"):
        assert plain["train"][key] == plain["evaluate"][key] == plain["inference"][key]
    for key in ("mask_threshold", "min_volume_mm3", "min_certainty", "slices_at_a_time"):
        assert plain["evaluate"][key] == plain["inference"][key]
    network = configured("inference").get_parsed_content("network_def")
    trained = configured("train").get_parsed_content("network_def")
    assert {name: value.shape for name, value in network.state_dict().items()} == {
        name: value.shape for name, value in trained.state_dict().items()
    }


def test_the_papers_overlay_makes_the_papers_network(configured, root):
    parser = configured("train")
    parser.read_config([str(root / f"bundles/brain_metastasis/configs/{name}.yaml") for name in ("train", "paper")])
    assert (parser["backbone"], parser["joint_epochs"]) == ("resnet50w2", 0)
    with torch.device("meta"):
        made = parser.get_parsed_content("network_def")
    assert isinstance(made, BrainMetastasisNet)
    assert tuple(made.head.weight.shape) == (1, 4096)


def test_half_precision_weights_are_read(tmp_path, configured):
    network = configured("inference").get_parsed_content("network_def")
    torch.save({name: value.half() for name, value in network.state_dict().items()}, tmp_path / "model.pt")
    assert (tmp_path / "model.pt").stat().st_size < 25e6
    parser = configured("inference", weights=str(tmp_path / "model.pt"), bundle_root=str(tmp_path))
    parser.get_parsed_content("initialize")
    loaded = parser.get_parsed_content("network")
    assert torch.equal(loaded.head.weight, network.head.weight.half().float())
    assert next(loaded.parameters()).dtype == torch.float32
