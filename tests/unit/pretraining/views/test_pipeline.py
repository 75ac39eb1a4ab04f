"""Views can be made again, sample by sample; bad input is named."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pretraining.samples import RawBatch
from pretraining.views.cutout import Cutout
from pretraining.views.energy import EnergyReference
from pretraining.views.geometry import Geometry
from pretraining.views.intensity import Blur, EnergyBands, Gamma, Linear, Noise, Sharpen
from pretraining.views.pipeline import CropSpec, ViewPipeline, take
from pretraining.views.windows import ImageSize, Share, Whole
from tests.unit.pretraining.views import reference

ENERGY = EnergyReference((1.0, 2.0, 4.0, 8.0, 16.0), (0.1, 0.08, 0.06, 0.05, 0.04), (0.02,) * 5, 1000)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everything(dimensions: int) -> ViewPipeline:
    """All there is, in one pipeline."""
    large, small = ((24, 24), (12, 16)) if dimensions == 2 else ((8, 12, 12), (6, 6, 8))
    return ViewPipeline(
        [CropSpec(2, large), CropSpec(3, small, ImageSize(30, 60)), CropSpec(1, small, Whole())],
        Geometry(
            border=0.1,
            rotation_deg=(20,) if dimensions == 2 else (20, 10, 10),
            zoom=(0.8, 1.2),
            shift=0.1,
            flip=(0.5, 0.5),
            distortion=(-0.05, 0.05),
        ),
        [
            EnergyBands(ENERGY, probability=0.5),
            Gamma((1.8, 2.6), probability=0.5),
            Linear((0.9, 1.1), (-0.2, 0.2)),
            Blur((0.1, 2.0), probability=0.5),
            Sharpen((0.1, 1.0), probability=0.5),
            Noise((0.01, 0.1), probability=0.5),
            Cutout(2, probability=0.5),
        ],
    )


def batch(dimensions: int, count: int = 7, seed: int = 0) -> RawBatch:
    """Images of different sizes and types."""
    images = []
    for place in range(count):
        most = 90 if dimensions == 2 else 30
        shape = torch.randint(5, most, (dimensions,), generator=generator(seed + place)).tolist()
        pixels = torch.randint(0, 256, shape, generator=generator(seed + place))
        images.append(pixels.to((torch.uint8, torch.uint16, torch.float32)[place % 3]))
    return reference.batch_of(*images, ranges=(0.0, 255.0))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_views_are_made_again_exactly(dimensions: int) -> None:
    images = batch(dimensions)
    pipeline = everything(dimensions)
    views = pipeline(images, generator())
    again = pipeline.apply(images, views.params)
    assert len(views.crops) == 6
    assert [crop.shape[1:] for crop in views.crops] == [(1, *params.size) for params in views.params]
    for one, other in zip(views.crops, again.crops, strict=True):
        assert one.dtype == torch.float32
        assert bool(one.isfinite().all())
        assert torch.equal(one, other)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_same_seed_gives_the_same_views_and_another_others(dimensions: int) -> None:
    images, pipeline = batch(dimensions), everything(dimensions)
    one, same, other = (pipeline(images, generator(seed)).crops for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], one[1])


@settings(max_examples=10, deadline=None)
@given(dimensions=st.sampled_from([2, 3]), seed=st.integers(0, 1000), place=st.integers(0, 6))
def test_a_samples_view_does_not_depend_on_its_neighbours(dimensions: int, seed: int, place: int) -> None:
    images, pipeline = batch(dimensions, seed=seed), everything(dimensions)
    views = pipeline(images, generator(seed))
    part = slice(place, place + 1)
    alone = RawBatch(images.images[part], images.ranges[part], images.groups[part], images.keys[part])
    crops = pipeline.apply(alone, take(views.params, part)).crops
    for one, all_ in zip(crops, views.crops, strict=True):
        torch.testing.assert_close(one, all_[part], atol=2e-4, rtol=0)


def test_drawing_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    everything(2)(batch(2), generator())
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_range_is_black_and_white() -> None:
    image = torch.tensor([[0, 1000], [2000, 60000]], dtype=torch.uint16)
    pipeline = ViewPipeline([CropSpec(1, (2, 2), Whole())])
    crop = pipeline(reference.batch_of(image, ranges=(1000.0, 3000.0)), generator()).crops[0]
    torch.testing.assert_close(crop, torch.tensor([[[[0.0, 0.0], [0.5, 1.0]]]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_that_is_no_number_names_its_sample(wrong: float) -> None:
    good, bad = torch.rand(9, 9), torch.rand(9, 9)
    bad[4, 5] = wrong
    with pytest.raises(ValueError, match="sample key1 holds NaN or infinite values"):
        ViewPipeline([CropSpec(1, (4, 4))])(reference.batch_of(good, bad), generator())


def test_huge_values_are_numbers() -> None:
    image = torch.full((9, 9), 3e38)
    crop = ViewPipeline([CropSpec(1, (4, 4))])(reference.batch_of(image), generator()).crops[0]
    torch.testing.assert_close(crop, torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize("wrong", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_an_empty_range_names_its_sample(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="sample key0 has the range"):
        ViewPipeline([CropSpec(1, (4, 4))])(reference.batch_of(torch.rand(9, 9), ranges=wrong), generator())


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(4, 9, 9), "sample key0 has shape"),
        (torch.rand(0, 9), "sample key0 has shape"),
        (torch.rand(9, 9).double(), "sample key0 is torch.float64"),
        (torch.ones(9, 9, dtype=torch.int16), "sample key0 is torch.int16"),
    ],
)
def test_an_image_of_another_kind_names_its_sample(image: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ViewPipeline([CropSpec(1, (4, 4))])(reference.batch_of(image), generator())


def test_crops_of_different_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="all 2-D or all 3-D"):
        ViewPipeline([CropSpec(1, (4, 4)), CropSpec(1, (4, 4, 4))])
    with pytest.raises(ValueError, match="all 2-D or all 3-D"):
        ViewPipeline([])
    with pytest.raises(ValueError, match="1 or more crops"):
        CropSpec(0, (4, 4), Share())


@pytest.mark.gpu
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_gpu_makes_the_same_views(dimensions: int) -> None:
    images, pipeline = batch(dimensions), everything(dimensions)
    here = pipeline(images, generator())
    there = pipeline(images.to("cuda"), generator())
    for one, other in zip(here.crops, there.crops, strict=True):
        assert other.device.type == "cuda"
        torch.testing.assert_close(one, other.cpu(), atol=2e-3, rtol=0)
