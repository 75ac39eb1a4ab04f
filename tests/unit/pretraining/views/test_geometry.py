"""Where crops lie, and that one interpolation puts them there."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pretraining.views.geometry import Geometry, GeometryParams, source_map
from pretraining.views.pipeline import CropParams, CropSpec, ViewPipeline
from pretraining.views.resample import plan, resample
from pretraining.views.windows import ImageSize, Share, Whole
from tests.unit.pretraining.views import reference

SQUARE = (24, 24)
CUBE = (10, 10, 10)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def params(size: tuple[int, ...], **changed: object) -> CropParams:
    """A crop that shows the whole of an image of its own size, unless changed."""
    axes = len(size)
    values: dict[str, object] = {
        "lower": torch.zeros(1, axes, dtype=torch.float64),
        "extent": torch.tensor([size], dtype=torch.float64),
        "angles": torch.zeros(1, axes * (axes - 1) // 2, dtype=torch.float64),
        "zoom": torch.ones(1, dtype=torch.float64),
        "shift": torch.zeros(1, axes, dtype=torch.float64),
        "flip": torch.zeros(1, axes, dtype=torch.bool),
        "distortion": torch.zeros(1, dtype=torch.float64),
    }
    return CropParams(size=size, geometry=GeometryParams(**{**values, **changed}), changes=())


def view(image: torch.Tensor, crop: CropParams) -> torch.Tensor:
    pipeline = ViewPipeline([CropSpec(1, crop.size)])
    return pipeline.apply(reference.batch_of(image), (crop,)).crops[0][0, 0]


@pytest.mark.parametrize("size", [SQUARE, CUBE, (7, 30), (1, 5), (4, 9, 6)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_nothing_drawn_is_the_image(size: tuple[int, ...], dtype: torch.dtype) -> None:
    image = torch.randint(0, 256, size, generator=generator())
    scaled = image.float() / 255
    stored = scaled if dtype == torch.float32 else image.to(dtype)
    torch.testing.assert_close(view(stored, params(size)), scaled, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("size", "axis"), [(SQUARE, 0), (SQUARE, 1), (CUBE, 0), (CUBE, 1), (CUBE, 2)])
def test_flips_are_torchs(size: tuple[int, ...], axis: int) -> None:
    image = torch.rand(size, generator=generator())
    flip = torch.zeros(1, len(size), dtype=torch.bool)
    flip[0, axis] = True
    torch.testing.assert_close(view(image, params(size, flip=flip)), image.flip(axis), atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "plane", "dims"),
    [(SQUARE, 0, (0, 1)), (CUBE, 0, (1, 2)), (CUBE, 1, (0, 1)), (CUBE, 2, (0, 2))],
)
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_right_angles_are_torchs(size: tuple[int, ...], plane: int, dims: tuple[int, int], turns: int) -> None:
    image = torch.rand(size, generator=generator())
    angles = torch.zeros(1, len(size) * (len(size) - 1) // 2, dtype=torch.float64)
    angles[0, plane] = turns * math.pi / 2
    turned = view(image, params(size, angles=angles))
    torch.testing.assert_close(turned, torch.rot90(image, turns, dims), atol=5e-5, rtol=0)


def test_a_shift_moves_the_content_and_leaves_black_behind() -> None:
    image = torch.rand(SQUARE, generator=generator()) + 0.1
    moved = view(image.clamp(max=1), params(SQUARE, shift=torch.tensor([[3.0, -5.0]], dtype=torch.float64)))
    expected = torch.zeros(SQUARE)
    expected[3:, :-5] = image.clamp(max=1)[:-3, 5:]
    torch.testing.assert_close(moved, expected, atol=5e-5, rtol=0)


def test_a_window_is_a_slice() -> None:
    image = torch.rand(40, 50, generator=generator())
    shown = view(image, params((12, 16), lower=torch.tensor([[7.0, 21.0]], dtype=torch.float64)))
    torch.testing.assert_close(shown, image[7:19, 21:37], atol=2e-5, rtol=0)


@pytest.mark.parametrize("blocks", [(2, 2), (3, 5), (2, 3, 4)])
def test_a_whole_shrinkage_is_the_mean_of_blocks(blocks: tuple[int, ...]) -> None:
    size = (6, 8) if len(blocks) == 2 else (4, 6, 5)
    shape = tuple(n * b for n, b in zip(size, blocks, strict=True))
    image = torch.rand(shape, generator=generator())
    shown = view(image, params(size, extent=torch.tensor([shape], dtype=torch.float64)))
    pool = functional.avg_pool2d if len(blocks) == 2 else functional.avg_pool3d
    torch.testing.assert_close(shown, pool(image[None], blocks)[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("factor", [1.7, 2.5, 3.4, 6.6])
def test_shrinking_never_skips_pixels(factor: float) -> None:
    """White noise must fade as it does when areas are averaged; bare interpolation would leave half of it."""
    n = round(64 * factor)
    image = torch.rand(n, n, generator=generator())
    shown = view(image, params((64, 64), extent=torch.tensor([[n, n]], dtype=torch.float64)))
    averaged = functional.interpolate(image[None, None], size=(64, 64), mode="area")[0, 0]
    assert abs(float(shown.mean() - image.mean())) < 0.01
    assert float(shown.std()) < 1.25 * float(averaged.std())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_crop_lies_where_the_slow_reference_says(data: st.DataObject) -> None:
    axes = data.draw(st.sampled_from([2, 3]))
    most = 14 if axes == 2 else 7
    shape = tuple(data.draw(st.integers(1, 2 * most)) for _ in range(axes))
    size = tuple(data.draw(st.integers(1, most)) for _ in range(axes))
    seed = data.draw(st.integers(0, 2**31))
    image = torch.rand(shape, generator=generator(seed))
    geometry = Geometry(
        border=0.1,
        rotation_deg=(180.0,) * (axes * (axes - 1) // 2),
        zoom=(0.8, 1.5),
        shift=0.2,
        flip=(0.5,) * axes,
        distortion=(-0.05, 0.05),
    )
    drawn = geometry.sample(torch.tensor([shape], dtype=torch.float64), size, Whole(), generator(seed))
    # No more than 1.4 source pixels a pixel, where there is nothing to average.
    limit = torch.tensor(size, dtype=torch.float64) * (1.4 * 0.8 / math.sqrt(axes))
    extent = torch.minimum(drawn.extent, limit)
    drawn = GeometryParams(drawn.lower, extent, drawn.angles, drawn.zoom, drawn.shift, drawn.flip, drawn.distortion)
    source = source_map(drawn, size)
    sampling = plan(torch.tensor([shape]), source, size)
    shown = resample([image[None]], torch.tensor([[0.0, 1.0]]), sampling)[0, 0]
    expected = reference.crop(
        image.double().numpy(), source.matrix[0].numpy(), source.centre[0].numpy(), float(source.distortion[0]), size
    )
    np.testing.assert_allclose(shown.numpy(), expected, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 900), min_size=2, max_size=3),
    side=st.integers(1, 64),
    seed=st.integers(0, 2**31),
    area=st.floats(0.05, 1.0),
)
def test_a_share_stays_in_the_image_and_keeps_its_area(shape: list[int], side: int, seed: int, area: float) -> None:
    images = torch.tensor([shape] * 8, dtype=torch.float64)
    drawn = Geometry().sample(images, (side,) * len(shape), Share((area, area)), generator(seed))
    assert bool((drawn.lower >= -1e-9).all())
    assert bool((drawn.lower + drawn.extent <= images + 1e-9).all())
    shares = (drawn.extent / images).prod(dim=1)
    uncut = (drawn.extent < images).all(dim=1)
    torch.testing.assert_close(shares[uncut], torch.full_like(shares[uncut], area))
    assert bool((shares <= area * (1 + 1e-9)).all())


def test_aspects_are_drawn_between_their_bounds() -> None:
    images = torch.full((500, 2), 1000.0, dtype=torch.float64)
    _, extent = _place(images, (10, 10), Share((0.1, 0.3), (0.5, 2.0)))
    ratio = extent[:, 1] / extent[:, 0]
    assert 0.5 <= float(ratio.min()) < 0.55
    assert 1.9 < float(ratio.max()) <= 2.0
    assert 0.8 < float(ratio.median()) < 1.25


def test_image_sizes_follow_seed_001() -> None:
    """A large radiograph obeys both bounds of table 1 and section 3.3; a CT slice the size range alone."""
    images = torch.tensor([[2500.0, 2000.0]] * 300 + [[512.0, 512.0]] * 300, dtype=torch.float64)
    _, extent = _place(images, (224, 224), ImageSize(600, 1200, fraction=(0.1, 0.7)))
    rescaled = images * 224 / extent
    assert 600 <= float(rescaled.amax(dim=1).min()) < 610
    assert 1190 < float(rescaled.amax(dim=1).max()) <= 1200
    torch.testing.assert_close(rescaled[:300, 0] / rescaled[:300, 1], torch.full((300,), 1.25, dtype=torch.float64))


def test_image_sizes_of_every_axis_never_fall_below_the_crop() -> None:
    images = torch.tensor([[40.0, 512.0, 512.0]] * 200, dtype=torch.float64)
    _, extent = _place(images, (192, 224, 224), ImageSize((96, 112, 112), (200, 250, 250)))
    rescaled = images / extent * torch.tensor([192.0, 224.0, 224.0])
    assert bool((rescaled >= torch.tensor([192.0, 224.0, 224.0]) - 1e-9).all())
    assert bool((rescaled <= torch.tensor([200.0, 250.0, 250.0]) + 1e-9).all())


def test_an_image_smaller_than_the_crop_is_enlarged() -> None:
    pipeline = ViewPipeline([CropSpec(2, (32, 32), ImageSize(8, 16)), CropSpec(1, (32, 32))])
    crops = pipeline(reference.batch_of(torch.full((5, 9), 200, dtype=torch.uint8)), generator()).crops
    for crop in crops:
        torch.testing.assert_close(crop, torch.full((1, 1, 32, 32), 200 / 255), atol=1e-5, rtol=0)


def test_a_whole_image_keeps_its_proportions_or_is_stretched() -> None:
    image = torch.ones(10, 20)
    padded, stretched = (
        ViewPipeline([CropSpec(1, (20, 20), Whole(keep))])(reference.batch_of(image), generator()).crops[0][0, 0]
        for keep in (True, False)
    )
    expected = torch.zeros(20, 20)
    expected[5:15] = 1
    torch.testing.assert_close(padded, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(stretched, torch.ones(20, 20), atol=1e-4, rtol=0)


def test_a_border_is_cut_off_at_most_by_its_share() -> None:
    images = torch.full((2000, 2), 100.0, dtype=torch.float64)
    drawn = Geometry(border=0.1).sample(images, (10, 10), Whole(False), generator())
    assert 0 <= float(drawn.lower.min()) < 0.1
    assert 9.9 < float(drawn.lower.max()) <= 10
    assert float(drawn.extent.min()) >= 80


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Geometry(border=0.5), "border"),
        (lambda: Geometry(zoom=(0.0, 1.0)), "zoom"),
        (lambda: Geometry(flip=(1.5,)), "probability"),
        (lambda: Geometry(distortion=(-0.2, 0)), "fold"),
        (lambda: Share((0.0, 1.0)), "area"),
        (lambda: ImageSize(600, 300), "image sizes"),
        (lambda: ImageSize((60, 60), (80, 80), fraction=(0.1, 0.7)), "fraction"),
    ],
)
def test_wrong_settings_are_refused(wrong, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong()


def test_more_planes_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="1 planes"):
        Geometry(rotation_deg=(1.0, 1.0)).sample(torch.ones(1, 2, dtype=torch.float64), (4, 4), Whole(), generator())


def _place(images: torch.Tensor, size: tuple[int, ...], scale) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = Geometry().sample(images, size, scale, generator())
    return drawn.lower, drawn.extent
