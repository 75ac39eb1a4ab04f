"""Shapes at any size, finite in bfloat16, encoders of pretraining fit, states load without pickled code."""

from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs

from bundles.chest_radiograph.scripts.backbone import Backbone
from bundles.chest_radiograph.scripts.grid import grid_of
from bundles.chest_radiograph.scripts.loss import DetectionLoss
from bundles.chest_radiograph.scripts.network import ChestDetector, ImageLogits
from bundles.chest_radiograph.scripts.truth import Truth
from bundles.common.careful_convolutions import make_convolutions_careful
from bundles.common.radiograph.encoder import DESIGNS
from bundles.common.strict import ConfigurationError
from pretraining.backbones import RESNETS, make_encoder


def small(**arguments: object) -> ChestDetector:
    torch.manual_seed(0)
    return ChestDetector(channels=16, depth=1, **arguments)


def truth(size: tuple[int, int], batch: int) -> Truth:
    boxes = tuple(torch.tensor([[4.0, 4.0, 40.0, 30.0]]) for _ in range(batch))
    classes = tuple(torch.tensor([1]) for _ in range(batch))
    return Truth(size, boxes, classes, torch.tensor([[0.0, 1.0]] * batch), torch.ones(batch, 2, dtype=torch.bool))


@pytest.mark.parametrize("size", [(64, 64), (96, 70), (129, 257)])
def test_every_location_of_the_grid_has_an_answer(size: tuple[int, int]) -> None:
    outputs = small().eval()(torch.rand(2, 1, *size))
    count = len(grid_of(*size).points)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "classes": (2, count, 2),
        "boxes": (2, count, 4),
        "centre": (2, count),
        "image": (2, 2),
    }
    assert (outputs["boxes"] > 0).all()


@pytest.mark.parametrize("backbone", sorted(DESIGNS))
def test_a_backbone_is_the_encoder_of_pretraining(backbone: str) -> None:
    with torch.device("meta"):
        own = Backbone(backbone)
        other = make_encoder(backbone)
    assert _shapes(own.encoder) == _shapes(other)
    assert own.channels[-1] == RESNETS[backbone].features


def _shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_the_paper_s_backbone_takes_training_steps() -> None:
    network = small(backbone="resnet50w2")
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    image = torch.rand(2, 1, 64, 64)
    losses = []
    for _ in range(2):
        loss = DetectionLoss()(network(image), truth((64, 64), 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_bfloat16_is_finite_forward_and_backward() -> None:
    network = small()
    make_convolutions_careful(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = network(torch.rand(2, 1, 96, 96))
    loss = DetectionLoss()(outputs, truth((96, 96), 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value.float()).all() for value in outputs.values())
    silent = [name for name, value in network.named_parameters() if value.grad is None]
    assert silent == []
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())


def test_an_encoder_of_pretraining_is_loaded_whole_and_said(tmp_path: Path) -> None:
    encoder = make_encoder("resnet18")
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    with capture_logs() as logs:
        network = small(encoder_weights=str(tmp_path / "encoder.pt"))
    assert torch.equal(network.backbone.encoder.layer4[1].conv2.weight, encoder.layer4[1].conv2.weight)
    said = next(entry for entry in logs if entry["event"] == "backbone_loaded")
    assert f"{len(encoder.state_dict())} tensors loaded" in said["what"]
    assert said["tensors"].startswith("conv1 1, bn1 5, layer1 ")


def test_an_encoder_of_another_backbone_is_refused(tmp_path: Path) -> None:
    torch.save(make_encoder("resnet18").state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(ConfigurationError, match="another network"):
        small(backbone="resnet50", encoder_weights=str(tmp_path / "encoder.pt"))
    with pytest.raises(ValueError, match="did you mean 'resnet18'"):
        small(backbone="resnet81")


def test_a_state_loads_without_pickled_code(tmp_path: Path) -> None:
    network = small().eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    torch.manual_seed(1)
    other = ChestDetector(channels=16, depth=1).eval()
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(other(image)["classes"], network(image)["classes"])


def test_one_tensor_holds_the_image_s_logits() -> None:
    network = small().eval()
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(ImageLogits(network)(image), network(image)["image"])


def test_the_pyramid_s_width_is_a_multiple_of_eight() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        ChestDetector(channels=20)
