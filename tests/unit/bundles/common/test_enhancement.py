"""Whether vessels are bright with contrast agent, on drawn heads, and what that does not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from app.demo.phantoms.mr.phantom import make_mr_phantom
from bundles.common.contrast import CONTRASTS, ENHANCED_FROM, PLAIN_TO, contrast_of, in_words
from bundles.common.enhancement import (
    BrightPlaces,
    Floats,
    Mask,
    NoBrain,
    Spacing,
    _distance,
    _inside,
    _near,
    averaged,
    bright_places,
    factors,
    find_brain,
)
from bundles.common.headers import UnreadableImage

MM = (2.0, 2.0, 2.0)
GHOSTED = 11
"""A seed whose patient moved: scalp fat is seen again, faintly, inside the brain."""


def drawn(*, enhanced: bool, stripped: bool = False) -> Floats:
    return make_mr_phantom(GHOSTED, enhanced=enhanced, diameters=(), spacing_mm=MM[0], stripped=stripped).volume


@pytest.fixture(scope="module")
def plain() -> Floats:
    return drawn(enhanced=False)


@pytest.fixture(scope="module")
def enhanced() -> Floats:
    return drawn(enhanced=True)


def named(volume: Floats) -> str:
    places = bright_places(volume, MM)
    return contrast_of(places.share, places.middle_share)


def test_heads_with_and_without_contrast_agent_are_told_apart(plain: Floats, enhanced: Floats) -> None:
    assert (named(plain), named(enhanced)) == ("plain", "enhanced")


def test_a_brain_without_its_scalp_is_told_apart_as_well() -> None:
    assert [named(drawn(enhanced=agent, stripped=True)) for agent in (False, True)] == ["plain", "enhanced"]


def test_neither_the_unit_nor_the_orientation_counts(enhanced: Floats) -> None:
    expected = bright_places(enhanced, MM)
    turned = np.ascontiguousarray(enhanced.transpose(1, 0, 2))
    assert bright_places(enhanced * np.float32(800), MM).share == pytest.approx(expected.share, abs=0.01)
    assert bright_places(turned, MM).share == pytest.approx(expected.share, abs=0.03)


def test_a_bright_lesion_in_one_place_is_no_contrast_agent(plain: Floats) -> None:
    brain = find_brain(plain, MM).envelope
    middle = np.argwhere(brain).mean(axis=0) + np.array([0, -10, 12])
    grid = np.indices(plain.shape).transpose(1, 2, 3, 0)
    bleeding = plain.copy()
    bleeding[np.linalg.norm((grid - middle) * MM, axis=-1) < 18] *= 1.9
    places = bright_places(bleeding, MM)
    assert places.share > PLAIN_TO
    assert contrast_of(places.share, places.middle_share) == "unclear"


def test_half_a_head_is_no_brain_rather_than_one_without_vessels(enhanced: Floats) -> None:
    with pytest.raises(NoBrain, match=r"holds .* L, a brain 0\.6 to 2\.2 L"):
        bright_places(enhanced[: len(enhanced) // 3], MM)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_empty_image_is_no_brain(value: float) -> None:
    with pytest.raises(NoBrain, match="empty"):
        bright_places(np.full((40, 40, 40), value, np.float32), MM)


def test_noise_is_no_brain() -> None:
    with pytest.raises(NoBrain):
        bright_places(np.random.default_rng(1).random((60, 60, 60), dtype=np.float32), MM)


def test_values_that_are_no_numbers_cannot_be_read(plain: Floats) -> None:
    spoiled = plain.copy()
    spoiled[10, 10, 10] = np.nan
    with pytest.raises(UnreadableImage, match="NaN or infinite"):
        bright_places(spoiled, MM)


@given(st.floats(0, 1), st.floats(0, 1))
def test_between_the_margins_nothing_is_said(share: float, middle: float) -> None:
    name = contrast_of(share, middle)
    assert (name == "enhanced") == (middle >= ENHANCED_FROM)
    assert (name == "plain") == (middle < ENHANCED_FROM and share <= PLAIN_TO)
    assert name in CONTRASTS
    assert in_words(name)


@given(st.tuples(*[st.floats(0.2, 6)] * 3))
def test_voxels_are_averaged_to_about_two_millimetres(spacing: tuple[float, float, float]) -> None:
    by = factors(spacing)
    for step, count in zip(spacing, by, strict=True):
        assert count == 1 or step * count <= 2.01
        assert step * (count + 1) > 1.99


@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 3)] * 3))
def test_means_are_those_of_whole_blocks(shape: tuple[int, int, int], by: tuple[int, int, int]) -> None:
    volume = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = averaged(volume, by)
    assert found.shape == tuple(size // step for size, step in zip(shape, by, strict=True))
    for index in np.ndindex(found.shape):
        block = volume[tuple(slice(i * step, (i + 1) * step) for i, step in zip(index, by, strict=True))]
        assert found[index] == pytest.approx(block.mean(), rel=1e-5)


def test_both_numbers_are_shares(plain: Floats) -> None:
    assert bright_places(plain, MM) == BrightPlaces(share=pytest.approx(0, abs=PLAIN_TO), middle_share=0.0)


@given(
    mask=arrays(np.bool_, (7, 9, 8), elements=st.sampled_from([False, False, False, True]) | st.booleans()),
    spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 2.0, 3.3])] * 3),
    reach=st.sampled_from([0.5, 1.0, 2.0, 4.0, 7.5]),
)
def test_distances_in_a_box_are_those_in_the_whole_image(mask: Mask, spacing: Spacing, reach: float) -> None:
    if not mask.any() or mask.all():
        return
    whole = ndimage.distance_transform_edt(mask, sampling=spacing)
    assert np.array_equal(_distance(mask, spacing), whole)
    assert np.array_equal(_inside(mask, reach, spacing), whole > reach)
    assert np.array_equal(_near(mask, reach, spacing), ndimage.distance_transform_edt(~mask, sampling=spacing) <= reach)


def test_nothing_is_near_nothing() -> None:
    nothing = np.zeros((3, 4, 5), dtype=np.bool_)
    assert not _near(nothing, 2.0, MM).any()
    assert not _inside(nothing, 0.0, MM).any()
