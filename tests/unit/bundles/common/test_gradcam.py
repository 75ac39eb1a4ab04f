"""Heat maps against a slow one, and boxes that lead back to the source image."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.networks.nets import ResNet
from monai.visualize import GradCAM
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.gradcam import Box, GradCamInferer, hottest_box, hottest_pixel, to_source


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3, stride=4, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.first = nn.Linear(6, 1)
        self.second = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.body(images).mean(dim=(2, 3))
        return {"first": self.first(features)[:, 0], "second": self.second(features)}


@pytest.fixture
def network() -> TwoHeads:
    torch.manual_seed(0)
    return TwoHeads().train()


def slow_heat(network: TwoHeads, image: Tensor, class_index: int) -> Tensor:
    """Weights are the mean gradients of the feature maps; negative evidence is nothing."""
    network.eval()
    features = network.body(image[None]).detach().requires_grad_()
    network.second(features.mean(dim=(2, 3)))[0, class_index].backward()
    weights = features.grad[0].mean(dim=(1, 2))
    heat = sum(weight * plane for weight, plane in zip(weights, features.detach()[0], strict=True)).clamp_min(0)
    return functional.interpolate(heat[None, None], size=image.shape[1:], mode="bilinear")[0, 0]


def second(index: int = 0) -> GradCamInferer:
    return GradCamInferer("body.2", lambda output: output["second"], index)


def test_heat_is_that_of_the_paper_for_each_image_of_a_batch(network: TwoHeads) -> None:
    images = torch.rand(3, 1, 32, 24)
    network.eval()
    for index in range(3):
        found = second(index)(images, network)
        assert torch.equal(found["logits"], network(images)["second"].detach())
        assert found["heat"].shape == (3, 32, 24)
        for image, own in zip(images, found["heat"], strict=True):
            expected = slow_heat(network, image, index)
            scaled = expected / expected.max() if expected.max() > 0 else expected
            assert torch.allclose(own, scaled, atol=1e-5)


def test_heat_is_that_of_monai_in_two_and_three_dimensions() -> None:
    for seed, dimensions in enumerate((2, 3)):
        torch.manual_seed(seed)
        blocks = ("basic", [1, 1, 1, 1], [4, 4, 8, 8], dimensions, 1)
        network = ResNet(*blocks, conv1_t_stride=2, num_classes=2).eval()
        images = torch.rand(2, 1, *(64, 48, 32)[:dimensions])
        for layer in ("layer2", "layer4"):
            theirs = GradCAM(network, layer, postprocessing=lambda heat: heat)(images, class_idx=1)[:, 0].detach()
            expected = theirs / theirs.flatten(1).amax(dim=1).clamp_min(1e-30).reshape(-1, *[1] * dimensions)
            found = GradCamInferer(layer, class_index=1)(images, network)
            assert torch.allclose(found["heat"], expected, atol=1e-5)
            assert torch.allclose(found["logits"], network(images).detach())


def test_the_network_runs_once(network: TwoHeads) -> None:
    passes = []
    network.register_forward_hook(lambda *_: passes.append(1))
    second()(torch.rand(2, 1, 16, 16), network.eval())
    assert len(passes) == 1


def test_a_head_of_one_output_needs_no_class(network: TwoHeads) -> None:
    found = GradCamInferer("body.2", lambda output: output["first"])(torch.rand(2, 1, 16, 16), network.eval())
    assert (found["logits"].shape, found["heat"].shape) == ((2, 1), (2, 16, 16))
    assert float(found["heat"].amax()) in (0.0, pytest.approx(1.0))


def test_the_network_is_as_before(network: TwoHeads) -> None:
    """Frozen layers, collected gradients, running statistics, hooks, and whether gradients are recorded."""
    network.second.weight.requires_grad_(requires_grad=False)
    network(torch.rand(2, 1, 16, 16))["first"].sum().backward()
    gradient = network.first.weight.grad
    kept = gradient.clone()
    network.eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = GradCamInferer("body.2", lambda output: output["first"])(torch.rand(2, 1, 16, 16), network)
    assert not any(value.requires_grad for value in found.values())
    assert torch.is_grad_enabled()
    assert not network.second.weight.requires_grad
    assert network.first.weight.requires_grad
    assert network.first.weight.grad is gradient
    assert torch.equal(gradient, kept)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert not network.body[2]._forward_hooks


def test_it_works_within_inference_mode_and_for_images_made_there(network: TwoHeads) -> None:
    network.eval()
    image = torch.rand(1, 1, 16, 16)
    expected = second()(image, network)
    with torch.inference_mode():
        made_there = image * 1.0
        before = network(made_there)["second"]
        found = second()(MetaTensor(made_there), network)
        assert torch.is_inference_mode_enabled()
        after = network(made_there)["second"]
    assert torch.equal(found["heat"], expected["heat"])
    assert {type(value) for value in found.values()} == {Tensor}
    assert torch.equal(before, after)
    assert torch.equal(found["logits"], before)


def test_what_follows_the_layer_may_work_in_place(network: TwoHeads) -> None:
    network.eval()
    expected = GradCamInferer("body.1", lambda output: output["second"])(torch.ones(1, 1, 16, 16), network)
    network.body[2].inplace = True
    found = GradCamInferer("body.1", lambda output: output["second"])(torch.ones(1, 1, 16, 16), network)
    assert torch.equal(found["heat"], expected["heat"])


def test_calls_of_several_threads_do_not_mix(network: TwoHeads) -> None:
    network.eval()
    images = [torch.rand(1, 1, 32, 24) for _ in range(24)]
    inferer = second(1)
    expected = [inferer(image, network)["heat"] for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: inferer(image, network)["heat"], images))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_no_evidence_gives_no_heat_and_no_box(network: TwoHeads) -> None:
    with torch.no_grad():
        network.second.weight.zero_()
    heat = second()(torch.rand(1, 1, 16, 16), network.eval())["heat"]
    assert heat.eq(0).all()
    assert hottest_box(heat[0].numpy()) is None


def test_a_layer_that_is_not_there_is_refused_with_names(network: TwoHeads) -> None:
    with pytest.raises(ValueError, match=r"no layer 'layer4'; its last ones are .*body"):
        GradCamInferer("layer4")(torch.rand(1, 1, 16, 16), network)


def test_a_layer_that_cannot_be_shown_is_refused(network: TwoHeads) -> None:
    network.idle = nn.Identity()
    for layer, words in (("idle", "does not come by"), ("second", "no spatial extent")):
        with pytest.raises(ValueError, match=words):
            GradCamInferer(layer, lambda output: output["second"])(torch.rand(1, 1, 16, 16), network.eval())
        assert torch.is_grad_enabled()


def test_values_that_are_not_finite_are_refused(network: TwoHeads) -> None:
    with pytest.raises(ValueError, match="not finite"):
        second()(torch.full((1, 1, 8, 8), torch.nan), network.eval())


def test_resnet_of_monai_is_hot_where_its_input_is_not_zero() -> None:
    """Without biases all else is zero: only the patch can speak, for one sign of the output or the other."""
    torch.manual_seed(1)
    network = ResNet("basic", [1, 1, 1, 1], [8, 8, 8, 8], 2, 1, conv1_t_stride=2, num_classes=1).eval()
    image = torch.zeros(1, 1, 256, 256)
    image[..., 180:200, 40:60] = torch.rand(20, 20) * 5
    boxes = []
    for sign in (1, -1):
        heat = GradCamInferer("layer2", lambda output, sign=sign: sign * output)(image, network)["heat"]
        boxes.append(hottest_box(heat[0].numpy()))
    found = [box for box in boxes if box is not None]
    assert found
    for box in found:
        assert abs((box.x0 + box.x1) / 2 - 50) < 40
        assert abs((box.y0 + box.y1) / 2 - 190) < 40


def test_the_box_holds_the_connected_part_around_the_hottest_place() -> None:
    heat = np.zeros((10, 12))
    heat[2:5, 3:6] = 0.6
    heat[3, 4] = 1.0
    heat[8, 10] = 0.9
    heat[5, 6] = 0.6  # touches by a corner alone
    assert hottest_box(heat) == Box(3, 2, 6, 5)
    assert hottest_box(heat, share=0.95) == hottest_pixel(heat) == Box(4, 3, 5, 4)


def test_heat_in_the_padding_is_ignored() -> None:
    heat = np.zeros((8, 8))
    heat[1, 1], heat[6, 6] = 0.5, 1.0
    assert hottest_box(heat, content=Box(0, 0, 8, 4)) == Box(1, 1, 2, 2)
    assert hottest_box(heat, content=Box(3, 0, 8, 4)) is None
    assert hottest_pixel(heat, content=Box(0, 0, 8, 4)) == Box(1, 1, 2, 2)
    assert hottest_pixel(heat, content=Box(3, 0, 8, 4)) is None


@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(1, 300), st.floats(1, 300)),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_boxes_go_back_where_they_came_from(
    source: tuple[int, int], place: tuple[float, ...], shares: tuple[float, ...]
) -> None:
    """Source → input by the definition of the resize, then back."""
    content = Box(place[0], place[1], place[0] + place[2], place[1] + place[3])
    rows, columns = source
    x = sorted(share * columns for share in shares[:2])
    y = sorted(share * rows for share in shares[2:])
    scale_x, scale_y = place[2] / columns, place[3] / rows
    forth = Box(
        x[0] * scale_x + place[0], y[0] * scale_y + place[1], x[1] * scale_x + place[0], y[1] * scale_y + place[1]
    )
    back = to_source(forth, content, source)
    assert (back.x0, back.y0, back.x1, back.y1) == pytest.approx((x[0], y[0], x[1], y[1]), abs=1e-6)


def test_what_lies_in_the_padding_is_cut() -> None:
    assert to_source(Box(-5, 0, 20, 20), Box(0, 0, 10, 5), (50, 100)) == Box(0, 0, 100, 50)


def test_bad_heat_is_refused() -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        hottest_box(np.zeros(4))
    with pytest.raises(ValueError, match="0 or above"):
        hottest_box(np.full((2, 2), -1.0))
    with pytest.raises(ValueError, match="rows and columns"):
        hottest_pixel(np.zeros(4))
    with pytest.raises(ValueError, match="share"):
        hottest_box(np.ones((2, 2)), share=0)
    with pytest.raises(ValueError, match="no extent"):
        to_source(Box(0, 0, 1, 1), Box(0, 0, 0, 5), (3, 3))


def test_all_classes_are_explained_at_once_as_each_by_itself(network: TwoHeads) -> None:
    images = torch.rand(2, 1, 32, 24)
    network.eval()
    together = GradCamInferer("body.2", lambda output: output["second"], None)(images, network)
    assert together["heat"].shape == (2, 3, 32, 24)
    for index in range(3):
        assert torch.allclose(together["heat"][:, index], second(index)(images, network)["heat"], atol=1e-6)
    with torch.inference_mode():
        again = GradCamInferer("body.2", lambda output: output["second"], None)(images.clone(), network)
    assert torch.equal(again["heat"], together["heat"])
    assert all(parameter.grad is None for parameter in network.parameters())
