"""The network is the paper's: blocks, kernels, strides, features."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bundles.common.strict import ConfigurationError
from bundles.head_ct_hemorrhage.scripts.network import Encoder, HemorrhageNet, JoinedLogits, largest


@pytest.fixture(scope="module")
def network() -> HemorrhageNet:
    torch.manual_seed(0)
    return HemorrhageNet().eval()


def test_five_blocks_with_the_units_of_the_paper(network: HemorrhageNet) -> None:
    assert [len(block.units) for block in network.encoder.blocks] == [1, 2, 3, 3, 3]


def test_growth_is_seven_from_sixteen_features(network: HemorrhageNet) -> None:
    assert network.encoder.stem[0].out_channels == 16
    assert network.encoder.block_channels == (23, 37, 58, 79, 100)
    assert {unit[0].out_channels for block in network.encoder.blocks for unit in block.units} == {7}


def test_first_two_blocks_are_in_plane_the_others_full(network: HemorrhageNet) -> None:
    kernels = [{unit[0].kernel_size for unit in block.units} for block in network.encoder.blocks]
    assert kernels == [{(1, 3, 3)}, {(1, 3, 3)}, {(3, 3, 3)}, {(3, 3, 3)}, {(3, 3, 3)}]


def test_every_unit_is_convolution_norm_leaky_relu(network: HemorrhageNet) -> None:
    units = [unit for block in network.encoder.blocks for unit in block.units]
    assert {tuple(type(layer) for layer in unit) for unit in units} == {(nn.Conv3d, nn.BatchNorm3d, nn.LeakyReLU)}


def test_depth_shrinks_only_after_the_in_plane_blocks(network: HemorrhageNet) -> None:
    with torch.inference_mode():
        blocks = network.encoder.blocks_of(torch.rand(1, 1, 40, 224, 192))
    assert [tuple(block.shape[2:]) for block in blocks] == [
        (40, 112, 96),
        (40, 56, 48),
        (40, 28, 24),
        (20, 14, 12),
        (10, 7, 6),
    ]


@pytest.mark.parametrize("size", [(40, 112, 96), (33, 100, 77), (9, 33, 35)])
def test_any_size_gives_1024_features_and_a_logit_for_each_slice(
    network: HemorrhageNet, size: tuple[int, int, int]
) -> None:
    image = torch.rand(2, 1, *size)
    with torch.inference_mode():
        features, logits = network.features(image), network(image)
    assert features.shape == (2, 1024)
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "hemorrhage": (2, 1),
        "types": (2, 5),
        "slices": (2, size[0]),
    }


def test_features_are_maximum_then_average(network: HemorrhageNet) -> None:
    with torch.inference_mode():
        image = torch.rand(1, 1, 16, 64, 64)
        wide = network.encoder.widen(network.encoder.blocks_of(image)[-1])
        features = network.features(image)
    assert torch.equal(features[:, :512], wide.amax(dim=(2, 3, 4)))
    assert torch.equal(features[:, 512:], wide.mean(dim=(2, 3, 4)))


def test_joined_logits_holds_volume_types_and_slices(network: HemorrhageNet) -> None:
    image = torch.rand(1, 1, 12, 32, 32)
    with torch.inference_mode():
        joined, logits = JoinedLogits(network)(image), network(image)
    assert torch.equal(joined, torch.cat(list(logits.values()), dim=1))


def test_encoder_weights_of_pretraining_are_taken(tmp_path: Path) -> None:
    torch.manual_seed(3)
    encoder = Encoder()
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    loaded = HemorrhageNet(encoder_weights=str(tmp_path / "encoder.pt"))
    pairs = zip(loaded.encoder.parameters(), encoder.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(ConfigurationError, match=r"No tensor fits: the network has stem\.0\.weight"):
        HemorrhageNet(encoder_weights=str(tmp_path / "other.pt"))


def test_weights_of_half_the_encoder_are_refused(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in Encoder().state_dict().items() if not name.startswith("widen")}
    torch.save(state, tmp_path / "half.pt")
    with pytest.raises(ConfigurationError, match="missing in the file: widen"):
        HemorrhageNet(encoder_weights=str(tmp_path / "half.pt"))


def test_gradient_of_the_maximum_goes_to_one_place() -> None:
    values = torch.ones(1, 1, 2, 3, requires_grad=True)
    largest(values, 2).sum().backward()
    assert values.grad is not None
    assert sorted(values.grad.flatten().tolist()) == [0, 0, 0, 0, 0, 1]
