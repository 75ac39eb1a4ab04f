"""Encoders are the published networks, adapted to one channel, and MONAI's own."""

import copy

import pytest
import torch
from monai.networks.nets import ResNet, resnet50
from torch import nn

from bundles.common.careful_convolutions import make_convolutions_careful
from bundles.common.dense3d import Encoder
from pretraining.backbones import NAMES, RESNETS, dimensions_of, feature_maps, features_of, make_encoder

# torchvision's published counts (docs: "num_params") for three channels and 1000 classes.
TORCHVISION = {"resnet18": 11_689_512, "resnet50": 25_557_032, "resnet152": 60_192_808}
FEATURES = {
    "resnet18": 512,
    "resnet50": 2048,
    "resnet50w2": 4096,
    "resnet50w4": 8192,
    "resnet152": 2048,
    "resnet18_3d": 512,
    "resnet50_3d": 2048,
    "dense3d": 1024,
}
SMALL = ("resnet18", "resnet18_3d", "dense3d")


def parameters(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


def build(name: str) -> nn.Module:
    with torch.device("meta"):
        return make_encoder(name)


def image(name: str, count: int = 2) -> torch.Tensor:
    size = (64, 96) if RESNETS.get(name) and RESNETS[name].dimensions == 2 else (16, 64, 96)
    return torch.rand(count, 1, *size)


@pytest.mark.parametrize("name", TORCHVISION)
def test_parameters_are_torchvisions_without_two_channels_and_the_classifier(name: str) -> None:
    features = FEATURES[name]
    classifier = features * 1000 + 1000
    two_channels = 64 * 2 * 7 * 7
    assert parameters(build(name)) == TORCHVISION[name] - classifier - two_channels


@pytest.mark.parametrize(("name", "width"), [("resnet50w2", 2), ("resnet50w4", 4)])
def test_wide_networks_have_the_parameters_of_their_arithmetic(name: str, width: int) -> None:
    """Convolutions between widened layers grow by width², the one-channel stem and the norms by width."""
    narrow = build("resnet50")
    stem = 64 * 1 * 7 * 7
    norms = sum(m.weight.numel() + m.bias.numel() for m in narrow.modules() if isinstance(m, nn.BatchNorm2d))
    inner = parameters(narrow) - stem - norms
    assert parameters(build(name)) == inner * width**2 + (stem + norms) * width


def test_wide_networks_have_the_published_size() -> None:
    """The linear classifiers' table of SimCLR (Chen et al. 2020) gives 94 M for width 2 and 375 M for width 4."""
    assert round(parameters(build("resnet50w2")) / 1e6) == 94
    assert round(parameters(build("resnet50w4")) / 1e6) == 375


@pytest.mark.parametrize("name", NAMES)
def test_it_says_its_features_and_dimensions(name: str) -> None:
    encoder = build(name)
    assert features_of(encoder) == FEATURES[name]
    assert dimensions_of(encoder) == (3 if name.endswith("3d") else 2)
    assert features_of(copy.deepcopy(encoder)) == FEATURES[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet50w2", "resnet18_3d", "resnet50_3d", "dense3d"])
def test_images_become_vectors(name: str) -> None:
    encoder = make_encoder(name).eval()
    with torch.inference_mode():
        assert encoder(image(name)).shape == (2, FEATURES[name])


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet18_3d"])
def test_feature_maps_halve_from_two_to_thirty_two(name: str) -> None:
    encoder, x = make_encoder(name).eval(), image(name)
    with torch.inference_mode():
        maps = feature_maps(encoder, x)
        assert torch.equal(maps[-1].flatten(2).mean(2), encoder(x))
    strides = (2, 4, 8, 16, 32)
    expected = [tuple(-(-size // stride) for size in x.shape[2:]) for stride in strides]
    assert [tuple(m.shape[2:]) for m in maps] == expected
    width = FEATURES[name] // 8
    assert [m.shape[1] for m in maps] == [64, width, 2 * width, 4 * width, 8 * width]


def test_feature_maps_of_the_dense_network_are_its_blocks() -> None:
    encoder, x = make_encoder("dense3d").eval(), torch.rand(1, 1, 16, 64, 96)
    with torch.inference_mode():
        maps = feature_maps(encoder, x)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (23, 16, 32, 48),
        (37, 16, 16, 24),
        (58, 16, 8, 12),
        (79, 8, 4, 6),
        (100, 4, 2, 3),
    ]


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    encoder = make_encoder(name).train()
    encoder(image(name)).square().sum().backward()
    idle = [key for key, tensor in encoder.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", SMALL)
def test_channels_last_gives_the_same(name: str) -> None:
    torch.manual_seed(0)
    encoder, x = make_encoder(name).eval(), image(name)
    layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    with torch.inference_mode():
        expected = encoder(x)
        found = encoder.to(memory_format=layout)(x.to(memory_format=layout))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_trains(name: str) -> None:
    """With careful convolutions, as in the trainer: torch's own leave memory unwritten for small shapes on a CPU."""
    torch.manual_seed(0)
    encoder, x = make_encoder(name).train(), image(name)
    make_convolutions_careful(encoder)
    with torch.autocast("cpu", torch.bfloat16):
        vectors = encoder(x)
    vectors.float().square().mean().backward()
    assert vectors.isfinite().all()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in encoder.parameters())


def test_the_state_dict_loads_into_monais_network() -> None:
    encoder = make_encoder("resnet50")
    theirs = resnet50(
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_stride=2,
        shortcut_type="B",
        bias_downsample=False,
        feed_forward=False,
    )
    assert isinstance(encoder, ResNet)
    assert str(theirs.load_state_dict(encoder.state_dict())) == "<All keys matched successfully>"


def test_dense3d_is_the_detectors_encoder() -> None:
    assert type(make_encoder("dense3d")) is Encoder


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="'resnet51', did you mean 'resnet5"):
        make_encoder("resnet51")


def test_a_network_that_says_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="Linear has no whole number 'features'"):
        features_of(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="not of Linear"):
        feature_maps(nn.Linear(1, 1), torch.zeros(1, 1))
