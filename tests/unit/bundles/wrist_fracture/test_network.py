"""One logit at any size, a held encoder stays as it is, encoders of pretraining fit and the log says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from structlog.testing import capture_logs

from bundles.common.strict import ConfigurationError
from bundles.wrist_fracture.scripts.network import WristFractureNet
from pretraining.backbones import make_encoder
from pretraining.export import Training, export_encoder


def exported(folder: Path, backbone: str) -> Path:
    torch.manual_seed(3)
    path = folder / f"{backbone}.pt"
    described = Training("SimCLR", backbone, (64, 64), "0 to 1", "phantom: none", epochs=1, steps=1, commit="test")
    export_encoder(make_encoder(backbone), path, described)
    return path


@pytest.mark.parametrize("size", [(64, 64), (96, 70), (129, 257)])
def test_every_image_has_one_logit_at_any_size(size: tuple[int, int]) -> None:
    network = WristFractureNet().eval()
    assert network(torch.rand(2, 1, *size)).shape == (2, 1)


def test_a_held_encoder_learns_nothing_and_counts_nothing() -> None:
    network = WristFractureNet()
    network.freeze_encoder()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    network(torch.rand(4, 1, 64, 64)).sum().backward()
    assert {name for name, p in network.named_parameters() if p.grad is not None} == {"head.2.weight", "head.2.bias"}
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.0.running_mean", "head.0.running_var", "head.0.num_batches_tracked"}
    network.freeze_encoder(frozen=False)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_one_override_takes_an_exported_encoder_and_the_log_says_which_tensors(
    configured: Callable[..., ConfigParser], tmp_path: Path
) -> None:
    path = exported(tmp_path, "resnet18")
    with capture_logs() as logs:
        network = configured("train", encoder_weights=str(path)).get_parsed_content("network")
    state = torch.load(path, weights_only=True)
    own = network.encoder.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in state.items())
    loaded, summary = logs
    assert (loaded["event"], loaded["matched"], loaded["missing"]) == ("encoder_loaded", len(state), 0)
    assert summary["event"] == "backbone_loaded"
    assert f"{len(state)} tensors loaded" in summary["what"]


def test_the_encoder_of_another_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it was made with backbone resnet50"):
        WristFractureNet(encoder_weights=str(exported(tmp_path, "resnet50")))


def test_an_unknown_backbone_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no backbone is called 'resnet81'.*resnet18"):
        WristFractureNet("resnet81")


def test_the_paper_s_network_fits_a_repository_in_half_precision() -> None:
    numbers = sum(value.numel() for value in WristFractureNet().state_dict().values())
    assert 2 * numbers < 25e6
