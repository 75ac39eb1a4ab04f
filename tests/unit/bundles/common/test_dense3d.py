"""The shared 3-D encoder: its state dict is part of released weights, so its names may not change."""

from pathlib import Path

import torch

from bundles.common.dense3d import Encoder
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet


def test_released_weights_hold_exactly_this_encoder(root: Path) -> None:
    released = torch.load(root / "bundles/head_ct_hemorrhage/models/model.pt", map_location="cpu", weights_only=True)
    shapes = {name[8:]: tensor.shape for name, tensor in released.items() if name.startswith("encoder.")}
    assert shapes == {name: tensor.shape for name, tensor in Encoder().state_dict().items()}


def test_the_detector_uses_this_encoder() -> None:
    assert type(HemorrhageNet().encoder) is Encoder


def test_it_says_what_it_takes_and_gives() -> None:
    encoder = Encoder().eval()
    assert (encoder.features, encoder.dimensions) == (1024, 3)
    assert encoder(torch.rand(1, 1, 9, 33, 35)).shape == (1, encoder.features)
