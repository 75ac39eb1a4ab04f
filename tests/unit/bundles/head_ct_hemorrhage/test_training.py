"""Areas are gathered, cases are read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bundles.common.mixed_precision import Autocast
from bundles.head_ct_hemorrhage.scripts.baseline import bright_share
from bundles.head_ct_hemorrhage.scripts.training import (
    MaskDice,
    MultiTaskAuc,
    load_cases,
    task_auc,
)

NAN = float("nan")


def test_areas_leave_out_unknown_labels() -> None:
    scores = torch.tensor([[3.0, 1.0], [2.0, 0.0], [1.0, 5.0]]).numpy()
    truths = torch.tensor([[1.0, 0.0], [NAN, 1.0], [0.0, NAN]]).numpy()
    assert task_auc("types", scores, truths) == pytest.approx(0.5)
    assert task_auc("slices", scores, truths) == pytest.approx(2 / 4)


def test_score_is_the_mean_of_volume_and_types() -> None:
    metric = MultiTaskAuc()
    logits = {"hemorrhage": torch.tensor([[1.0], [0.0]]), "types": torch.zeros(2, 5), "slices": torch.zeros(2, 4)}
    targets = {"hemorrhage": torch.tensor([[1.0], [0.0]]), "types": torch.eye(5)[:2], "slices": torch.zeros(2, 4)}
    metric.update((logits, targets))
    assert metric.compute() == pytest.approx((1.0 + 0.5) / 2)


def test_score_leaves_out_what_is_not_trained() -> None:
    metric = MultiTaskAuc(score_of=["hemorrhage"])
    logits = {"hemorrhage": torch.tensor([[1.0], [0.0]]), "types": torch.zeros(2, 5), "slices": torch.zeros(2, 4)}
    targets = {"hemorrhage": torch.tensor([[1.0], [0.0]]), "types": torch.eye(5)[:2], "slices": torch.zeros(2, 4)}
    metric.update((logits, targets))
    assert metric.compute() == 1.0


def test_dice_is_over_all_voxels_of_known_masks() -> None:
    metric = MaskDice()
    scores = torch.full((2, 1, 2, 4, 4), -1.0)
    scores[0, 0, 0, :2], scores[1] = 1.0, 1.0
    mask = torch.zeros(2, 1, 2, 2, 2)
    mask[0, 0, :, 0] = 1.0
    targets = {"mask": mask, "mask_known": torch.tensor([[1.0], [0.0]])}
    metric.update(({"segmentation": scores}, targets))
    assert metric.compute() == pytest.approx(2 * 2 / (2 + 4))
    metric.reset()
    metric.update(({"hemorrhage": scores}, targets))
    assert np.isnan(metric.compute())


def test_autocast_answers_in_float32() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": self.layer(x)}

    network = Two()
    image = torch.rand(3, 4)
    assert Autocast(network, "cpu")(image)["out"].dtype == torch.float32
    assert torch.equal(Autocast(network, "cpu", enabled=False)(image)["out"], network(image)["out"])


def test_cases_come_with_absolute_paths_and_known_labels_only(tmp_path: Path) -> None:
    cases = [{"image": "a.nii.gz", "label": 1, "types": None, "patient": "P7"}, {"image": "b.nii.gz"}]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": cases}))
    loaded = load_cases(str(tmp_path / "datalist.json"), "training")
    assert loaded == [
        {"image": str(tmp_path / "a.nii.gz"), "label": 1, "name": "a.nii.gz", "patient": "P7"},
        {"image": str(tmp_path / "b.nii.gz"), "name": "b.nii.gz", "patient": "b.nii.gz"},
    ]
    assert len(load_cases(str(tmp_path / "datalist.json"), "training", limit=1)) == 1
    with pytest.raises(ValueError, match="no cases in 'test'"):
        load_cases(str(tmp_path / "datalist.json"), "test")


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_a_share_of_the_negatives_is_taken(tmp_path: Path, share: float, kept: int) -> None:
    cases = [{"image": f"{index}.nii.gz", "label": int(index % 3 == 0)} for index in range(18)] + [{"image": "x.nii"}]
    (tmp_path / "datalist.json").write_text(json.dumps({"training": cases}))
    loaded = load_cases(str(tmp_path / "datalist.json"), "training", negatives=share)
    labels = [case.get("label") for case in loaded]
    assert (labels.count(0), labels.count(1), labels.count(None)) == (kept, 6, 1)
    with pytest.raises(ValueError, match="share of the cases"):
        load_cases(str(tmp_path / "datalist.json"), "training", negatives=1.5)


def test_baseline_sees_blood_and_neither_noise_nor_bone() -> None:
    torch.manual_seed(0)
    box = 33 + 6 * torch.randn(1, 4, 64, 64)
    assert bright_share(box) == 0
    box[:, :, :3] = 900
    assert bright_share(box) == 0
    box[0, 1, 30:42, 30:42] = 70
    assert 0.4 * 144 < bright_share(box) * box.numel() < 1.6 * 144
