"""The networks are the paper's, fit into the memory that there is, and begin where the design says."""

import resource

import pytest
import torch
from torch import nn

from bundles.brain_metastasis.scripts.loss import MetastasisLoss
from bundles.brain_metastasis.scripts.network import BrainMetastasisNet, JoinedLogits
from bundles.brain_metastasis.scripts.slices import NeighbourInferer, with_neighbours
from bundles.common.radiograph.encoder import make_encoder
from bundles.common.strict import ConfigurationError

MODEST = (8, 8, 8, 8, 8, 8)


def targets_of(masks: torch.Tensor) -> dict[str, torch.Tensor]:
    slices = masks.flatten(1).bool().any(dim=1, keepdim=True).float()
    return {"mask": masks, "slices": slices, "mask_known": torch.ones(len(masks), 1)}


def test_the_papers_network_runs_forward_and_a_step_of_training():
    """ResNet-50w2 on 5 + 1 channels compressed to 3, at the size that the configuration trains at."""
    torch.manual_seed(0)
    network = BrainMetastasisNet(backbone="resnet50w2", widths=(32, 32, 64, 128, 256, 32))
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    assert shapes["segmenter.conv_0.conv_0.conv.weight"] == (32, 5, 3, 3)
    assert shapes["segmenter.final_conv.weight"] == (1, 32, 1, 1)
    assert shapes["compress.weight"] == (3, 6, 1, 1)
    # 50w2 of SwAV: every convolution twice as wide as ResNet-50's.
    assert shapes["encoder.conv1.weight"] == (128, 3, 7, 7)
    assert shapes["encoder.layer1.0.conv1.weight"] == (128, 128, 1, 1)
    assert shapes["encoder.layer4.2.conv3.weight"] == (4096, 1024, 1, 1)
    assert shapes["head.weight"] == (1, 4096)
    assert [len(stage) for stage in (network.encoder.layer1, network.encoder.layer2)] == [3, 4]
    assert [len(stage) for stage in (network.encoder.layer3, network.encoder.layer4)] == [6, 3]
    encoder = sum(value.numel() for value in network.encoder.parameters())
    assert encoder == 93_907_072
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    x = torch.rand(2, 5, 224, 192)
    masks = torch.zeros(2, 1, 224, 192)
    masks[0, 0, 100:110, 80:90] = 1
    before = network.compress.weight.detach().clone()
    logits = network(x)
    assert (logits["mask"].shape, logits["slices"].shape) == ((2, 1, 224, 192), (2, 1))
    MetastasisLoss()(logits, targets_of(masks)).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []
    optimizer.step()
    assert not torch.equal(before, network.compress.weight)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6e6


def test_the_default_is_small_enough_for_the_repository():
    network = BrainMetastasisNet()
    halves = sum(2 * value.numel() for value in network.state_dict().values() if value.is_floating_point())
    assert halves < 25e6


def test_the_classifier_begins_with_the_three_middle_slices_brightened_by_the_mask():
    network = BrainMetastasisNet(widths=MODEST)
    six = torch.rand(1, 6, 4, 4)
    assert torch.allclose(network.compress(six), six[:, 1:4] + six[:, 5:])


def test_an_encoder_from_pretraining_fills_the_classifier(tmp_path, capsys):
    encoder, _ = make_encoder("resnet18")
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    network = BrainMetastasisNet(encoder_weights=str(tmp_path / "encoder.pt"), widths=MODEST)
    loaded = network.encoder.state_dict()
    for name, value in encoder.state_dict().items():
        expected = value.repeat(1, 3, 1, 1) / 3 if name == "conv1.weight" else value
        assert torch.equal(loaded[name], expected)
    image = torch.rand(2, 1, 64, 64)
    assert torch.allclose(network.encoder.eval()(image.repeat(1, 3, 1, 1)), encoder.eval()(image), atol=1e-4)
    assert "repeated and divided" in capsys.readouterr().out


def test_an_encoder_of_another_backbone_is_refused(tmp_path):
    encoder, _ = make_encoder("resnet18")
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(ConfigurationError, match="another network"):
        BrainMetastasisNet(backbone="resnet50", encoder_weights=str(tmp_path / "encoder.pt"))


@pytest.mark.parametrize(
    ("step", "trained"), [("segmenter", {"segmenter"}), ("classifier", {"compress", "encoder", "head"})]
)
def test_a_step_of_training_changes_its_part_alone(step, trained):
    torch.manual_seed(1)
    network = BrainMetastasisNet(widths=MODEST).train()
    network.train_only(step)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    masks = torch.zeros(2, 1, 64, 64)
    masks[0, 0, 20:30, 20:30] = 1
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.1)
    MetastasisLoss()(network(torch.rand(2, 5, 64, 64)), targets_of(masks)).backward()
    optimizer.step()
    changed = {name.partition(".")[0] for name, value in network.state_dict().items() if not value.equal(before[name])}
    assert changed == trained


def test_both_parts_learn_together():
    network = BrainMetastasisNet(widths=MODEST).train()
    network.train_only("segmenter")
    network.train_only("joint")
    assert all(each.requires_grad for each in network.parameters())
    assert all(part.training for part in network.modules() if not isinstance(part, nn.Identity))
    with pytest.raises(ValueError, match="no step"):
        network.train_only("both")


def test_neighbours_end_with_the_volume():
    volume = torch.arange(4.0)[:, None, None].expand(4, 2, 2)
    found = with_neighbours(volume, torch.tensor([0, 2, 3]))[:, :, 0, 0]
    assert found.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 3], [1, 2, 3, 3, 3]]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batches_of_slices_give_what_single_slices_give(batch_size):
    torch.manual_seed(2)
    network = BrainMetastasisNet(widths=MODEST).eval()
    volume = torch.rand(1, 1, 7, 64, 32)
    with torch.inference_mode():
        found = NeighbourInferer(batch_size)(volume, network)
        for index in range(7):
            one = network(with_neighbours(volume[0, 0], torch.tensor([index])))
            assert torch.allclose(found["mask"][0, index], one["mask"][0, 0], atol=1e-4)
            assert torch.allclose(found["slices"][0, index], one["slices"][0, 0], atol=1e-4)
    assert (found["mask"].shape, found["slices"].shape) == ((1, 7, 64, 32), (1, 7))


def test_the_inferer_takes_one_volume():
    with pytest.raises(ValueError, match="one volume"):
        NeighbourInferer()(torch.zeros(2, 1, 3, 32, 32), BrainMetastasisNet(widths=MODEST))


def test_one_tensor_for_tools():
    network = BrainMetastasisNet(widths=MODEST).eval()
    x = torch.rand(1, 5, 64, 32)
    joined, logits = JoinedLogits(network)(x), network(x)
    assert torch.equal(joined[:, :1], logits["mask"])
    assert torch.equal(joined[:, 1], logits["slices"][:, :, None].expand(1, 64, 32))
