"""Precision is chosen around a network of one output or several; images of a folder are found by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bundles.common.mixed_precision import Autocast
from bundles.common.radiograph.running import find_images
from bundles.common.strict import ConfigurationError


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"first": self.layer(x), "second": -self.layer(x)}


def test_outputs_are_float32_and_were_computed_in_bfloat16_where_asked() -> None:
    torch.manual_seed(0)
    network, x = Two(), torch.rand(3, 64)
    exact, rough = Autocast(network, "cpu", enabled=False)(x), Autocast(network, "cpu")(x)
    assert torch.equal(exact["first"], network(x)["first"])
    for name in ("first", "second"):
        assert rough[name].dtype == torch.float32
        assert not torch.equal(rough[name], exact[name])
        torch.testing.assert_close(rough[name], exact[name], rtol=0.05, atol=0.02)
    assert torch.equal(Autocast(network.layer, "cpu")(x), rough["first"])


def test_images_of_a_folder_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "deep/a.png"):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert [item["name"] for item in find_images(str(tmp_path))] == ["b.png", "deep/a.png"]
    assert Path(find_images(str(tmp_path), limit=1)[0]["image"]) == tmp_path / "b.png"
    with pytest.raises(ConfigurationError, match="is missing"):
        find_images(str(tmp_path / "nowhere"))
