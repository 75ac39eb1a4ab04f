"""Whole numbers: the same percentiles as NumPy's, the same values after packing, or no packing at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pretraining.data.whole import PIXELS_AT_ONCE, Whole, pack_whole, percentiles_of

FEW = st.integers(0, 12)
VALUES = st.one_of(FEW, st.integers(0, 255), st.integers(0, 4095), st.integers(0, 65535))
OFFSETS = st.one_of(st.just(0), st.integers(-40_000, 100_000), st.integers(-(1 << 23), 1 << 23))
PERCENTILES = st.one_of(st.sampled_from([0.0, 1.0, 2.5, 50.0, 99.0, 99.9, 100.0]), st.floats(0, 100))


def _packed(image: NDArray[np.float32]) -> Whole | None:
    return pack_whole(image, float(image.min()), float(image.max()))


def _whole(image: NDArray[np.float32]) -> Whole:
    found = _packed(image)
    assert found is not None
    return found


@given(
    st.data(),
    st.sampled_from([FEW, VALUES]),
    st.integers(1, 60),
    OFFSETS,
    st.tuples(PERCENTILES, PERCENTILES),
)
def test_percentiles_are_numpys_to_the_last_bit(
    data: st.DataObject, values: st.SearchStrategy[int], size: int, offset: int, wanted: tuple[float, float]
) -> None:
    image = np.array(data.draw(st.lists(values, min_size=size, max_size=size)), np.float32) + np.float32(offset)
    expected = tuple(float(value) for value in np.percentile(image, wanted))
    assert percentiles_of(_whole(image), wanted) == expected


@pytest.mark.parametrize("extra", [-1, 0, 1, 70_001])
@pytest.mark.parametrize(("low", "high"), [(0, 4096), (-1024, 3072), (60_000, 125_000)])
def test_percentiles_of_more_pixels_than_are_counted_together(extra: int, low: int, high: int) -> None:
    generator = np.random.default_rng(extra + 1)
    image = generator.integers(low, high, PIXELS_AT_ONCE + extra).astype(np.float32)
    for wanted in ((1.0, 99.0), (0.0, 100.0), (0.1, 33.3)):
        assert percentiles_of(_whole(image), wanted) == tuple(float(value) for value in np.percentile(image, wanted))


@given(arrays.arrays(np.int64, arrays.array_shapes(min_dims=2, max_dims=3, max_side=6), elements=VALUES), OFFSETS)
def test_packing_keeps_every_value_in_its_place(values: NDArray[np.int64], offset: int) -> None:
    image = (values + offset).astype(np.float32)
    for order in (image, image.T):
        found = _whole(order)
        assert np.array_equal(found.pixels + found.offset, order)
        assert found.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("values", "dtype", "offset"),
    [
        ((0, 255), np.uint8, 0),
        ((0, 256), np.uint16, 0),
        ((7, 65535), np.uint16, 0),
        ((65_300, 65_536), np.uint8, 65_300),
        ((-1024, 3071), np.uint16, -1024),
        ((-0.0, 3), np.uint8, 0),
    ],
)
def test_bits_and_offset_follow_from_the_range(values: tuple[float, ...], dtype: type, offset: float) -> None:
    found = _whole(np.array(values, np.float32))
    assert (found.pixels.dtype, found.offset) == (dtype, offset)


@pytest.mark.parametrize(
    "values",
    [
        (0, 1.5, 3),
        (-0.5, 0.5),  # whole once moved by the minimum
        (-60_000, 1e-10),  # whole once moved, because float32 rounds
        (0, 65_536),
        (-40_000, 40_000),
        (0.25, 65_000),
    ],
)
def test_fractions_and_wide_ranges_are_not_packed(values: tuple[float, ...]) -> None:
    assert _packed(np.array(values, np.float32)) is None
