"""What is exported loads into MONAI's network and into detectors, and says where it comes from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.networks.nets import ResNet
from torch import nn

from bundles.common.encoder_weights import load_encoder, read_encoder_manifest
from bundles.common.manifest import sha256_of
from bundles.common.strict import ConfigurationError
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet
from pretraining.backbones import RESNETS, make_encoder
from pretraining.export import Training, encoder_of_checkpoint, export_encoder, present_commit, training_of

PLAIN = Training(
    objective="SimCLR",
    backbone="resnet18",
    image_size=(224, 224),
    value_range="percentiles 1 and 99 of each image",
    data="phantom: noise",
    epochs=3,
    steps=120,
)


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    torch.manual_seed(0)
    return make_encoder("resnet18")


def test_it_loads_into_monais_network(encoder: nn.Module, tmp_path: Path) -> None:
    export_encoder(encoder, tmp_path / "out" / "encoder.pt", PLAIN)
    network = ResNet(**RESNETS["resnet18"].monai_arguments())
    network.load_state_dict(torch.load(tmp_path / "out" / "encoder.pt", weights_only=True))
    image = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network.eval()(image), encoder.eval()(image))


def test_the_manifest_says_where_it_comes_from(encoder: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "encoder.pt"
    manifest = export_encoder(encoder, path, replace(PLAIN, data_sha256="a" * 64, commit="c" * 40))
    assert read_encoder_manifest(path) == manifest
    assert manifest.sha256 == sha256_of(path)
    assert (manifest.backbone, manifest.dimensions, manifest.features) == ("resnet18", 2, 512)
    assert (manifest.objective, manifest.epochs, manifest.steps) == ("SimCLR", 3, 120)
    assert (manifest.data, manifest.data_sha256, manifest.commit) == ("phantom: noise", "a" * 64, "c" * 40)
    assert manifest.libraries["torch"] == torch.__version__
    assert sorted(item.name for item in tmp_path.iterdir()) == ["encoder.json", "encoder.pt"]


def test_a_detector_takes_it_with_one_line(tmp_path: Path) -> None:
    torch.manual_seed(1)
    encoder = make_encoder("dense3d")
    training = replace(PLAIN, backbone="dense3d", image_size=(40, 224, 192))
    export_encoder(encoder, tmp_path / "dense.pt", training)
    detector = HemorrhageNet(encoder_weights=str(tmp_path / "dense.pt"))
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in detector.encoder.state_dict().items())


def test_a_detector_of_another_backbone_refuses_it(encoder: nn.Module, tmp_path: Path) -> None:
    export_encoder(encoder, tmp_path / "flat.pt", PLAIN)
    with pytest.raises(ConfigurationError, match="No tensor fits"):
        HemorrhageNet(encoder_weights=str(tmp_path / "flat.pt"))


def test_the_encoder_comes_out_of_a_checkpoint(encoder: nn.Module, tmp_path: Path) -> None:
    objective = {f"module.encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    objective |= {"module.projection.weight": torch.zeros(3), "module.momentum_encoder.conv1.weight": torch.zeros(3)}
    torch.save({"state": {"objective": objective}, "step": 7}, tmp_path / "checkpoint.pt")
    found = encoder_of_checkpoint(tmp_path / "checkpoint.pt", "state.objective", "resnet18")
    export_encoder(found, tmp_path / "encoder.pt", PLAIN)
    assert load_encoder(make_encoder("resnet18"), tmp_path / "encoder.pt").complete


def test_a_bare_state_dict_is_a_checkpoint_too(encoder: nn.Module, tmp_path: Path) -> None:
    torch.save(encoder.state_dict(), tmp_path / "bare.pt")
    found = encoder_of_checkpoint(tmp_path / "bare.pt", "", "resnet18", prefix="")
    assert torch.equal(found.state_dict()["conv1.weight"], encoder.state_dict()["conv1.weight"])


@pytest.mark.parametrize(
    ("question", "match"),
    [
        (("objectve", "resnet18", "encoder."), "no part 'objectve', did you mean 'objective'"),
        (("step", "resnet18", "encoder."), "'step' is no state dict but int"),
        (("objective", "resnet18", "backbone."), r"no tensor starts with 'backbone\.'"),
        (("objective", "resnet18_3d", "encoder."), "the encoder is no resnet18_3d"),
        (("objective", "resnet81", "encoder."), "no encoder is called 'resnet81', did you mean"),
    ],
)
def test_a_wrong_question_gets_an_answer(
    encoder: nn.Module, tmp_path: Path, question: tuple[str, str, str], match: str
) -> None:
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    torch.save({"objective": state, "step": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigurationError, match=match):
        encoder_of_checkpoint(tmp_path / "checkpoint.pt", *question)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK cut")
    with pytest.raises(ConfigurationError, match=r"checkpoint\.pt: torch\.load\(weights_only=True\) cannot read it"):
        encoder_of_checkpoint(tmp_path / "checkpoint.pt", "objective", "resnet18")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"backbone": "resnet50"}, "the encoder is no resnet50"),
        ({"image_size": (8, 8, 8)}, r"image_size \(8, 8, 8\) does not fit resnet18, which has 2 axes"),
    ],
)
def test_a_wrong_description_is_refused(
    encoder: nn.Module, tmp_path: Path, changes: dict[str, object], match: str
) -> None:
    with pytest.raises(ConfigurationError, match=match):
        export_encoder(encoder, tmp_path / "encoder.pt", replace(PLAIN, **changes))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    encoder = make_encoder("resnet18")
    with torch.no_grad():
        encoder.state_dict()["conv1.weight"][0] = torch.nan
    with pytest.raises(ConfigurationError, match=r"conv1\.weight holds NaN"):
        export_encoder(encoder, tmp_path / "encoder.pt", PLAIN)


def test_a_wrong_ending_is_refused(encoder: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"called NAME\.pt"):
        export_encoder(encoder, tmp_path / "encoder.json", PLAIN)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full")
def test_a_full_disk_leaves_the_old_weights(encoder: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "encoder.pt"
    export_encoder(encoder, path, PLAIN)
    before = path.read_bytes(), path.with_suffix(".json").read_bytes()
    (tmp_path / "encoder.pt.part").symlink_to("/dev/full")
    with pytest.raises((OSError, RuntimeError)):
        export_encoder(make_encoder("resnet18"), path, PLAIN)
    assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == before


def test_a_run_file_is_read_strictly() -> None:
    values = {
        "objective": "SwAV",
        "backbone": "resnet50",
        "image_size": [224, 224],
        "value_range": "window",
        "data": "x",
        "epochs": 1,
        "steps": 2,
    }
    assert training_of(values, "run.json").image_size == (224, 224)
    with pytest.raises(ConfigurationError, match=r"run\.json: unknown key 'step', did you mean 'steps'"):
        training_of(values | {"step": 3}, "run.json")
    del values["data"]
    with pytest.raises(ConfigurationError, match=r"run\.json: lacks data"):
        training_of(values, "run.json")


def test_the_commit_is_that_of_the_repository(root: Path) -> None:
    head = present_commit().removesuffix("+changes")
    assert head == "unknown" or ((root / ".git").exists() and len(head) == 40)
