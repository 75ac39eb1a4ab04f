"""The region is where the network looked, in pixels of the source, whatever was scaled and padded in between."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, LoadImaged
from PIL import Image
from torch import nn

from bundles.common.gradcam import GradCamInferer
from bundles.common.radiograph.scaling import Radiographd
from bundles.wrist_fracture.scripts.network import WristFractureNet
from bundles.wrist_fracture.scripts.postprocess import FractureRegiond
from bundles.wrist_fracture.scripts.running import as_plain
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import radiograph

SIZE, STRIDE = 256, 8


class LooksAtBright(nn.Module):
    """A network whose answer is known: how much of the image is brighter than 0.7, seen in cells of 8 × 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        cells = nn.Conv2d(1, 1, STRIDE, stride=STRIDE)
        nn.init.constant_(cells.weight, 1 / STRIDE**2)
        nn.init.constant_(cells.bias, -0.7)
        self.encoder = nn.Module()
        self.encoder.layer4 = nn.Sequential(cells, nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 100 * self.encoder.layer4(x).mean(dim=(2, 3))


def analysed(path: Path, network: nn.Module) -> dict:
    reader = "bundles.common.monai_reader.SeriesReader"
    steps = Compose([LoadImaged("image", reader=reader, image_only=True), Radiographd("image", SIZE)])
    item = steps({"image": [str(path)], "name": path.name})
    with torch.inference_mode():
        looked = GradCamInferer("encoder.layer4")(item["image"][None], network)
        item["pred"] = {name: value[0] for name, value in looked.items()}
        return FractureRegiond(heat=True)(item)


@pytest.mark.parametrize(("rows", "columns"), [(900, 600), (600, 900), (300, 120), (100, 100)])
def test_the_region_lies_on_the_bright_mark(tmp_path: Path, rows: int, columns: int) -> None:
    image = np.random.default_rng(0).integers(0, 20_000, (rows, columns)).astype(np.uint16)
    x0, y0, x1, y1 = columns // 2, rows // 3, columns * 3 // 4, rows // 2
    image[y0:y1, x0:x1] = 60_000
    Image.fromarray(image).save(tmp_path / "a.png")
    found = analysed(tmp_path / "a.png", LooksAtBright())
    assert found["heat"].shape == (SIZE, SIZE)
    (box,) = found["boxes"].tolist()
    cell = STRIDE * max(rows, columns) / SIZE
    assert box == pytest.approx([x0, y0, x1, y1], abs=cell)
    assert found["scores"].tolist() == found["probabilities"].tolist()
    assert found["classes"].tolist() == [0]
    assert as_plain(found)["region"] == pytest.approx(box, abs=0.05)
    # The map that people see covers the source alone, at a resolution of its own.
    seen = found["attention"]
    assert seen.shape == found["heat"].shape if rows == columns else seen.numel() < SIZE**2
    assert seen.shape[0] / seen.shape[1] == pytest.approx(rows / columns, rel=0.01)
    hot = (seen > 0.5).nonzero().float() * max(rows, columns) / SIZE
    assert hot.amin(dim=0).tolist() == pytest.approx([y0, x0], abs=cell)
    assert hot.amax(dim=0).tolist() == pytest.approx([y1, x1], abs=cell)


def test_nothing_bright_has_no_region(tmp_path: Path) -> None:
    class Blind(LooksAtBright):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * 0.5)

    Image.fromarray(np.random.default_rng(0).integers(0, 200, (90, 80), dtype=np.uint8)).save(tmp_path / "a.png")
    found = analysed(tmp_path / "a.png", Blind())
    assert found["boxes"].shape == (0, 4)
    assert (found["scores"].shape, found["classes"].shape) == ((0,), (0,))
    assert as_plain(found) == {"fracture": 0.5, "region": None}


def test_monochrome1_and_monochrome2_give_one_result(tmp_path: Path, run_config: Callable[..., ConfigParser]) -> None:
    torch.manual_seed(0)
    torch.save(WristFractureNet().state_dict(), tmp_path / "weights.pt")
    values = np.random.default_rng(0).integers(0, 4096, (96, 80), dtype=np.uint16)
    values[20:50, 30:60] //= 2
    for kind, stored in (("MONOCHROME1", 4095 - values), ("MONOCHROME2", values)):
        image = radiograph(kind, photometric=kind, Rows=96, Columns=80, BodyPartExamined="WRIST")
        image.PixelData = stored.astype("<u2").tobytes()
        save(tmp_path / "in" / kind, [image])
    where = {
        "input": str(tmp_path / "in"),
        "output_dir": str(tmp_path / "out"),
        "weights": str(tmp_path / "weights.pt"),
    }
    parser = run_config("inference", **where)
    assert len(parser.get_parsed_content("dataset").data) == 2
    one, other = (json.loads(path.read_text()) for path in sorted((tmp_path / "out").rglob("*.json")))
    assert {one.pop("image").split("/")[0], other.pop("image").split("/")[0]} == {"MONOCHROME1", "MONOCHROME2"}
    assert one.pop("notes") == ["MONOCHROME1, inverted"]
    assert one == other
    assert one["region"] is not None
