"""Brightness and detail: every change against its formula."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from pretraining.views.cutout import Cutout, CutoutParams
from pretraining.views.filters import gaussian
from pretraining.views.intensity import (
    Blur,
    BlurParams,
    Gamma,
    GammaParams,
    Linear,
    LinearParams,
    Noise,
    NoiseParams,
    Sharpen,
    SharpenParams,
)
from pretraining.views.noise import normal, scaled

SHAPES = [(4, 1, 20, 31), (4, 1, 6, 9, 12)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops_of(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(shape, generator=generator(1)) * 1.2 - 0.1


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_gamma_is_a_power(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    changed = Gamma((1.8, 2.6)).apply(crops, GammaParams(doubles(1.8, 1.0, 2.6, 0.5)))
    for place, exponent in ((0, 1.8), (2, 2.6), (3, 0.5)):
        torch.testing.assert_close(changed[place], crops[place].clamp(0, 1) ** exponent)
    assert torch.equal(changed[1], crops[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_is_a_times_i_plus_b(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    changed = Linear().apply(crops, LinearParams(doubles(0.9, 1.0, 1.1, 1.0), doubles(0.2, 0.0, -0.2, 0.1)))
    for place, (factor, offset) in enumerate([(0.9, 0.2), (1.0, 0.0), (1.1, -0.2), (1.0, 0.1)]):
        torch.testing.assert_close(changed[place], factor * crops[place] + offset)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 90), min_size=2, max_size=2) | st.lists(st.integers(1, 20), min_size=3, max_size=3),
    sigmas=st.lists(st.floats(0, 6), min_size=1, max_size=3),
)
def test_blur_is_scipys(shape: list[int], sigmas: list[float]) -> None:
    images = torch.rand(len(sigmas), 1, *shape, generator=generator(), dtype=torch.float64)
    blurred = gaussian(images, torch.tensor(sigmas, dtype=torch.float64))
    for image, sigma, found in zip(images, sigmas, blurred, strict=True):
        wanted = ndimage.gaussian_filter(image[0].numpy(), sigma, mode="reflect", truncate=4.0)
        np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-12)


def test_a_long_axis_is_blurred_in_slabs() -> None:
    image = torch.rand(1, 1, 700, 40, generator=generator(), dtype=torch.float64)
    wanted = ndimage.gaussian_filter(image[0, 0].numpy(), 16.0, mode="reflect", truncate=4.0)
    np.testing.assert_allclose(gaussian(image, doubles(16.0))[0, 0].numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_only_chosen_samples_are_blurred(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    changed = Blur((0, 2)).apply(crops, BlurParams(doubles(0.0, 1.5, 0.0, 0.7)))
    assert torch.equal(changed[[0, 2]], crops[[0, 2]])
    torch.testing.assert_close(changed[[1, 3]], gaussian(crops[[1, 3]], doubles(1.5, 0.7)))
    assert not torch.equal(changed[1], crops[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_sharpening_adds_what_a_blur_takes(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    changed = Sharpen((0, 1), sigma=1.2).apply(crops, SharpenParams(doubles(0.5, 0.0, 1.0, 0.0)))
    detail = crops - gaussian(crops, doubles(1.2, 1.2, 1.2, 1.2))
    torch.testing.assert_close(
        changed, crops + doubles(0.5, 0, 1, 0).float().view(-1, *[1] * (len(shape) - 1)) * detail
    )


def test_noise_is_standard_normal_and_without_pattern() -> None:
    field = normal(torch.tensor([0, 1, 2**32 - 1]), (1, 256, 256), torch.device("cpu")).double()
    for sample in field:
        assert stats.kstest(sample.flatten().numpy(), "norm").pvalue > 1e-3
        neighbours = [(sample[..., 1:], sample[..., :-1]), (sample[:, 1:], sample[:, :-1])]
        for one, other in neighbours:
            assert abs(float((one * other).mean())) < 5 / 256
    assert abs(float((field[0] * field[1]).mean())) < 5 / 256
    assert bool(field.isfinite().all())


def test_every_value_of_the_noise_is_finite() -> None:
    """The ends of the 32 bits: neither may become infinite."""
    ends = scaled(torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32))
    assert bool(ends.isfinite().all())
    assert 3 < float(ends[1]) == -float(ends[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_has_the_width_drawn(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    params = NoiseParams(doubles(0.1, 0.0, 0.3, 0.1), torch.tensor([5, 6, 7, 5]))
    added = Noise((0, 1)).apply(crops, params) - crops
    assert float(added[0].std()) == pytest.approx(0.1, rel=0.15)
    assert float(added[2].std()) == pytest.approx(0.3, rel=0.15)
    assert torch.equal(added[1], torch.zeros_like(added[1]))
    torch.testing.assert_close(added[0], added[3])


@pytest.mark.parametrize("shape", SHAPES)
def test_cutout_fills_its_boxes_and_nothing_else(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    lower, upper = torch.zeros(4, 1, 3), torch.zeros(4, 1, 3)
    lower[1], upper[1] = 0.25, 0.75
    changed = Cutout(fill=-9.0).apply(crops, CutoutParams(lower.double(), upper.double()))
    assert torch.equal(changed[[0, 2, 3]], crops[[0, 2, 3]])
    box = (slice(None), *(slice(round(0.25 * n), round(0.75 * n)) for n in shape[2:]))
    expected = crops[1].clone()
    expected[box] = -9.0
    assert torch.equal(changed[1], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_change_leaves_its_input_alone(shape: tuple[int, ...]) -> None:
    crops = crops_of(shape)
    before = crops.clone()
    for change in (
        Gamma((1.8, 2.6)),
        Linear((0.9, 1.1), (-0.2, 0.2)),
        Blur((1, 2)),
        Sharpen((0.5, 1)),
        Noise((0.1, 0.2)),
        Cutout(2),
    ):
        changed = change.apply(crops, change.sample(4, generator()))
        assert not torch.equal(changed, before)
        assert torch.equal(crops, before)


def test_draws_keep_bounds_and_probability() -> None:
    gamma = Gamma((1.8, 2.6), probability=0.25).sample(4000, generator()).exponent
    drawn = gamma[gamma != 1]
    assert 0.22 < len(drawn) / 4000 < 0.28
    assert 1.8 <= float(drawn.min()) < 1.81
    assert 2.59 < float(drawn.max()) <= 2.6


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Gamma((2.6, 1.8)),
        lambda: Gamma((-1.0, 1.8)),
        lambda: Linear((1.1, 0.9)),
        lambda: Blur((1.0, 2.0), probability=2.0),
        lambda: Noise((-0.1, 0.2)),
        lambda: Cutout(0),
    ],
)
def test_wrong_settings_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()
