"""What is told of an image for each class: probability, region, and the heat map over the source."""

import pytest
import torch

from bundles.chest_classification.scripts.postprocess import Classesd
from bundles.common.radiograph.placement import Placement


@pytest.mark.parametrize("keep", [False, True])
def test_each_class_has_its_own_map_over_the_source_without_the_padding(*, keep: bool) -> None:
    heat = torch.zeros(2, 64, 64)
    heat[0, 8:16, 4:12] = 1.0
    placement = Placement(source=(640, 320), scaled=(64, 32))
    item = {"pred": {"logits": torch.tensor([2.0, -2.0]), "heat": heat}, "placement": placement.as_tensor()}
    found = Classesd(["mass", "effusion"], "multi_label", heat=keep)(item)
    assert torch.equal(found["attention"], heat[:, :, :32])
    assert found["boxes"].tolist() == [[40.0, 80.0, 120.0, 160.0]]
    assert found["classes"].tolist() == [0]
    assert ("heat" in found) is keep
