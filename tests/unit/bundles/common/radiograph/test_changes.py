"""Test images are changed within the radiograph alone, as the measure of robustness changes them."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundles.common.metrics import Change, changed
from bundles.common.radiograph.changes import ChangedRadiographd
from bundles.common.radiograph.placement import Placement

SIZE, ROWS, COLUMNS = 32, 32, 20


def item() -> dict[str, object]:
    """A radiograph of noise that fills the left part of the input."""
    image = torch.zeros(1, SIZE, SIZE)
    image[0, :ROWS, :COLUMNS] = torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(3))
    placement = Placement((64, 40), (ROWS, COLUMNS)).as_tensor()
    return {"image": MetaTensor(image, meta={"name": "kept"}), "placement": placement}


def test_nothing_is_changed_by_default() -> None:
    given = item()
    made = ChangedRadiographd("image")(given)
    assert made["image"] is given["image"]
    assert made["moved"] is False


@pytest.mark.parametrize(
    ("change", "moved"), [(Change(gamma=2.0), False), (Change(rotation_deg=10.0), True), (Change(1.5, -5.0, 1.2), True)]
)
def test_the_radiograph_is_changed_and_the_margin_stays_empty(change: Change, moved: bool) -> None:
    given = item()
    before = given["image"].clone()  # type: ignore[attr-defined]
    made = ChangedRadiographd("image", change.gamma, change.rotation_deg, change.scale)(given)
    expected = changed(before[0, :ROWS, :COLUMNS].numpy(), change)
    assert np.array_equal(made["image"][0, :ROWS, :COLUMNS].numpy(), expected)
    assert not made["image"][0, :, COLUMNS:].any()
    assert torch.equal(given["image"], before)
    assert made["moved"] is moved
    assert made["image"].meta["name"] == "kept"
    assert not np.array_equal(expected, before[0, :ROWS, :COLUMNS].numpy())


@pytest.mark.parametrize("wrong", [{"gamma": 0}, {"scale": -1}])
def test_changes_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ChangedRadiographd("image", **wrong)
