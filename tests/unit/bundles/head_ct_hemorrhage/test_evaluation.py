"""Outlines count as the service shows them, points have intervals, and a release tells both."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from bundles.common.manifest import Metric
from bundles.head_ct_hemorrhage.scripts.masks_measured import draw_examples, measure_outlines, outlined_of
from bundles.head_ct_hemorrhage.scripts.points import notes_of, operating_points
from bundles.head_ct_hemorrhage.scripts.release import figures
from bundles.head_ct_hemorrhage.scripts.running import as_plain

SHAPE = (30, 32, 6)
AREA = {"value": 0.9, "low": 0.8, "high": 0.95, "positives": 2, "negatives": 2}


def case(first: int, last: int, found_from: int, **more):
    """A bleed in columns first to last of two slices, and what was found from `found_from` on."""
    truth, labels = torch.zeros(SHAPE), torch.zeros(SHAPE, dtype=torch.uint8)
    truth[first:last, 10:20, 2:4], labels[found_from:last, 10:20, 2:4] = 1, 1
    item = {
        "source_image": torch.full(SHAPE, 30.0),
        "source_mask": truth,
        "source_affine": torch.eye(4, dtype=torch.float64),
        "source_shape": torch.tensor(SHAPE),
        **more,
    }
    return item, {"lesions": labels}


def test_outlines_of_an_absent_finding_do_not_count():
    item, found = case(4, 14, 9, types=[0, 1, 0, 0, 0])
    shown, hidden = (outlined_of(0, item, found, present=present) for present in (True, False))
    assert shown is not None
    assert hidden is not None
    assert shown.case.dice == pytest.approx(2 * 5 / 15)
    assert shown.case.found.tolist() == [True]
    assert (hidden.case.dice, hidden.case.found.tolist(), hidden.case.false_alarms) == (0.0, [False], 0)
    assert shown.example is not None
    assert shown.example.title == "subdural: Dice 0.67"
    assert np.asarray(shown.example.truth).tolist() == [[4, 10, 14, 20]]
    assert shown.example.heat is not None
    assert shown.example.heat.sum() == 50


def test_without_a_mask_only_a_head_without_hemorrhage_is_known():
    item, found = case(4, 14, 4)
    del item["source_mask"]
    assert outlined_of(0, {**item, "label": 1}, found, present=True) is None
    healthy = outlined_of(0, {**item, "label": 0}, found, present=True)
    assert healthy is not None
    assert (healthy.case.false_alarms, healthy.example) == (1, None)


def test_bleeds_are_measured_by_size_and_drawn_worst_first(tmp_path: Path):
    outlined = [
        one
        for number, (last, found_from) in enumerate(((24, 4), (24, 14), (24, 24), (8, 4)))
        if (one := outlined_of(number, *case(4, last, found_from), present=True)) is not None
    ]
    report = measure_outlines(outlined, replicates=20)
    assert report["lesions"] == 4
    assert [(size["from_mm"], size["below_mm"], size["lesions"]) for size in report["sizes"]] == [
        (0.0, 10.0, 1),
        (10.0, 20.0, 0),
        (20.0, 40.0, 3),
        (40.0, None, 0),
    ]
    assert report["dice"]["value"] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    json.dumps(report, allow_nan=True)
    draw_examples(tmp_path / "examples.png", outlined)
    assert (tmp_path / "examples.png").stat().st_size > 1000
    draw_examples(tmp_path / "none.png", [])
    assert not (tmp_path / "none.png").exists()


def test_points_have_intervals_and_leave_out_unknown_labels():
    rng = np.random.default_rng(0)
    truth = np.tile([0.0, 1.0], 60)
    scores = np.clip(0.5 + 0.2 * (truth * 2 - 1) + rng.normal(0, 0.2, 120), 0, 1)
    truth[7] = np.nan
    points = operating_points(scores, truth, 0.5, replicates=50)
    labelled = ~np.isnan(truth)
    called = scores[labelled] >= 0.5
    sensitivity = points["operating_point"]["sensitivity"]
    assert isinstance(sensitivity, dict)
    assert sensitivity["value"] == pytest.approx(called[truth[labelled] == 1].mean(), abs=1e-4)
    assert sensitivity["low"] < sensitivity["value"] < sensitivity["high"]
    balanced = points["balanced_point"]
    assert abs(balanced["sensitivity"]["value"] - balanced["specificity"]["value"]) < 0.04
    assert set(operating_points(scores, np.zeros(120), None, replicates=5)) == set()
    (first, second) = notes_of(points)
    assert first.startswith("At the service's threshold, 0.500: sensitivity ")
    assert "these very cases" in second


def test_a_release_tells_areas_points_and_bleeds():
    names = (
        "hemorrhage", "types_mean", "subarachnoid", "subdural", "epidural", "intraventricular", "intraparenchymal",
        "slices", "bright_pixel_baseline",
    )  # fmt: skip
    outlined = outlined_of(0, *case(4, 24, 4), present=True)
    assert outlined is not None
    interval = {"value": 0.9, "low": 0.8, "high": 1.0}
    report = {
        **dict.fromkeys(names, AREA),
        "operating_point": {"threshold": 0.3, "sensitivity": interval, "specificity": interval},
        "lesions": measure_outlines([outlined], replicates=5),
    }
    shown = figures(report)
    assert set(shown) == {*names, "sensitivity", "specificity", "lesions_20", "dice"}
    assert all(isinstance(metric, Metric) for metric in shown.values())
    assert (shown["dice"].value, shown["lesions_20"].label) == (1.0, "Bleeds from 20 to 40 mm")
    assert set(figures(dict.fromkeys(names, AREA))) == set(names)


def test_what_must_agree_between_configurations_does(root: Path):
    plain = {
        name: yaml.safe_load((root / f"bundles/head_ct_hemorrhage/configs/{name}.yaml").read_text())
        for name in ("train", "evaluate", "inference")
    }
    assert plain["train"]["box"] == plain["evaluate"]["box"] == plain["inference"]["box"]
    for key in ("segmentation", "suspicion", "mask_threshold", "min_volume_mm3", "min_certainty", "postprocessing"):
        assert plain["evaluate"][key] == plain["inference"][key]
    service = yaml.safe_load((root / "bundles/head_ct_hemorrhage/configs/service.yaml").read_text())
    assert plain["inference"]["suspicion"] < service["findings"][0]["threshold"]


def test_results_tell_every_bleed():
    item = {
        "hemorrhage": torch.tensor([0.93411]),
        "types": torch.full((5,), 0.5),
        "slices": torch.tensor([0.0, 0.25]),
        "lesion_scores": torch.tensor([0.75]),
        "lesion_measures": torch.tensor([[120.5, 9.25, 1.0, -2.0, 3.0]], dtype=torch.float64),
    }
    told = as_plain(item)
    assert (told["hemorrhage"], told["slices"]) == (0.9341, [0.0, 0.25])
    assert told["lesions"] == [
        {
            "number": 1,
            "certainty": 0.75,
            "volume_mm3": 120.5,
            "longest_diameter_mm": 9.25,
            "centre_ras_mm": [1.0, -2.0, 3.0],
        }
    ]


def test_cases_of_one_kind_have_no_specificity() -> None:
    points = operating_points(np.array([0.2, 0.9]), np.ones(2), 0.5, replicates=5)
    (note,) = notes_of(points)
    assert "sensitivity 50 %" in note
    assert "specificity not defined, as no case is of that kind" in note
