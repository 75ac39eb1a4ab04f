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


@pytest.mark.parametrize("size", [(40, 224, 192), (9, 33, 35), (8, 32, 48)])
def test_the_segmentation_head_gives_a_logit_for_every_voxel(size: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    network = HemorrhageNet(segmentation=True).eval()
    image = torch.rand(1, 1, *size)
    with torch.inference_mode():
        logits = network(image)
        blocks = network.encoder.blocks_of(image)
        # Each block with something added: the head reads all of them.
        changed = [[each + (number == level) for number, each in enumerate(blocks)] for level in range(len(blocks))]
        others = [network.segmentation(each, size) for each in changed]
    assert tuple(logits["segmentation"].shape) == (1, 1, *size)
    assert -8 < float(logits["segmentation"].mean()) < 0
    assert not any(torch.equal(other, logits["segmentation"]) for other in others)


def test_the_head_is_small_and_switchable() -> None:
    head = HemorrhageNet(segmentation=True).segmentation
    assert head is not None
    assert sum(each.numel() for each in head.parameters()) < 60_000
    assert HemorrhageNet().segmentation is None
    assert not any(name.startswith("segmentation") for name in HemorrhageNet().state_dict())


def test_training_the_head_alone_changes_nothing_else() -> None:
    torch.manual_seed(2)
    network = HemorrhageNet(dropout=0.5, segmentation=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image = torch.rand(2, 1, 8, 48, 64)
    with torch.inference_mode():
        answers = network.eval()(image)
    network.train_only("segmentation").train()
    trained = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)
    for _ in range(2):
        network(image)["segmentation"].sigmoid().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    after = network.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved
    assert all(name.startswith("segmentation.") for name in moved)
    assert any("running_mean" in name for name in moved)
    with torch.inference_mode():
        again = network.eval()(image)
    assert all(torch.equal(answers[name], again[name]) for name in ("hemorrhage", "types", "slices"))
    assert not torch.equal(answers["segmentation"], again["segmentation"])


def test_training_all_again_and_unknown_parts() -> None:
    network = HemorrhageNet(segmentation=True).train_only("segmentation").train()
    assert not network.encoder.training
    network.train_only(None)
    assert network.encoder.training
    assert all(each.requires_grad for each in network.parameters())
    with pytest.raises(ValueError, match="expected one of encoder, volume"):
        HemorrhageNet().train_only("segmentation")
    with pytest.raises(ValueError, match="got 'mask'"):
        network.train_only("mask")


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
