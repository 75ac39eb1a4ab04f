"""Loading encoder weights says exactly which tensors went where."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bundles.common.encoder_weights import (
    EncoderManifest,
    LoadReport,
    load_encoder,
    manifest_path,
    read_encoder_manifest,
)
from bundles.common.manifest import sha256_of
from bundles.common.strict import ConfigurationError


class Detector(nn.Module):
    """An encoder somewhere inside, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.head = nn.Linear(3, 1)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "encoder.pt"
    torch.save(small().state_dict(), path)
    return path


def describe(path: Path, **changes: object) -> EncoderManifest:
    values: dict[str, object] = {
        "sha256": sha256_of(path),
        "objective": "SimCLR",
        "backbone": "resnet18",
        "dimensions": 2,
        "features": 512,
        "image_size": (64, 64),
        "value_range": "percentiles 1 and 99",
        "normalisation": "none",
        "data": "phantom: noise",
        "data_sha256": None,
        "epochs": 1,
        "steps": 2,
        "commit": "0" * 40,
        "created": "2026-01-01",
        "libraries": {"torch": "2.13.0"},
    }
    manifest = EncoderManifest.model_validate(values | changes)
    manifest_path(path).write_text(manifest.model_dump_json())
    return manifest


def test_every_tensor_of_the_encoder_arrives(weights: Path) -> None:
    network = small()
    report = load_encoder(network, weights).require_complete()
    expected = torch.load(weights, weights_only=True)
    assert set(report.matched) == set(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


def test_a_prefix_finds_the_encoder_inside_a_detector(weights: Path) -> None:
    network = Detector()
    head = network.head.weight.clone()
    report = load_encoder(network, weights, prefix="body.")
    assert report.complete
    assert all(name.startswith("body.") for name in report.matched)
    assert torch.equal(network.body[0].weight, torch.load(weights, weights_only=True)["0.weight"])
    assert torch.equal(network.head.weight, head)


def test_missing_unexpected_and_other_shapes_are_named(weights: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state["extra"] = state.pop("1.bias")
    state["0.weight"] = torch.zeros(2, 3, 3, 3)
    torch.save(state, weights)
    network = small()
    stem = network[0].weight.clone()
    report = load_encoder(network, weights)
    assert report.missing == ("1.bias",)
    assert report.unexpected == ("extra",)
    assert report.other_shape == {"0.weight": ((2, 3, 3, 3), (2, 1, 3, 3))}
    assert set(report.matched) == {"0.bias", "1.weight", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert torch.equal(network[0].weight, stem)
    assert torch.equal(network[0].bias, state["0.bias"])
    assert "0.weight is (2, 3, 3, 3) in the file and (2, 1, 3, 3) in the network" in report.summary()
    with pytest.raises(ConfigurationError, match="1 unknown to the network: extra"):
        report.require_complete()


def test_a_file_without_any_matching_tensor_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the network has weight, bias, the file 0\.weight"):
        load_encoder(nn.Linear(2, 2), weights)


def test_a_prefix_that_does_not_exist_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"starts with 'backbone\.'"):
        load_encoder(Detector(), weights, prefix="backbone.")


def test_the_manifest_comes_with_the_report(weights: Path) -> None:
    manifest = describe(weights)
    assert load_encoder(small(), weights).manifest == manifest


def test_without_a_manifest_the_report_says_so(weights: Path) -> None:
    report = load_encoder(small(), weights)
    assert report.manifest is None
    assert "origin is unknown" in report.summary()


def test_a_changed_file_is_refused(weights: Path) -> None:
    describe(weights, sha256="0" * 64)
    with pytest.raises(ConfigurationError, match=r"sha256 [0-9a-f]{64} differs from 0{64}"):
        load_encoder(small(), weights)


def test_a_broken_manifest_is_refused(weights: Path) -> None:
    manifest_path(weights).write_text("{}")
    with pytest.raises(ConfigurationError, match=r"encoder\.json"):
        read_encoder_manifest(weights)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "encoder.pt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot read it"):
        load_encoder(small(), path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load_encoder(small(), tmp_path / "encoder.pt")


def test_a_training_checkpoint_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save({"objective": small().state_dict(), "step": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigurationError, match="python -m pretraining export"):
        load_encoder(small(), tmp_path / "checkpoint.pt")


def test_a_long_list_of_names_is_cut() -> None:
    report = LoadReport(Path("e.pt"), None, (), missing=tuple(f"layer{i}" for i in range(9)))
    assert "9 missing in the file: layer0, layer1, layer2, layer3, layer4 and 4 more" in report.summary()
