"""Slices for the canvas: every number as the reader gives it, in bounded memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from app.web.study.pixels import Encoded, SliceCache, encode, thumbnail
from bundles.common.reader import Slice


def decoded(found: Encoded) -> NDArray[np.float32]:
    values = np.frombuffer(found.body, np.dtype(found.kind).newbyteorder("<"))
    return values.astype(np.float32).reshape(found.rows, found.columns)


def slice_of(values: NDArray[np.float32]) -> Slice:
    return Slice(values, "HU", inverted=False)


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.one_of(
            st.integers(-70000, 70000).map(float), st.floats(-1e6, 1e6, width=32), st.sampled_from([-32768.0, 65535.0])
        ),
    )
)
def test_every_number_comes_out_as_it_went_in(values: NDArray[np.float32]) -> None:
    assert decoded(encode(slice_of(values))).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([-1024.0, 3071.0], "int16"),
        ([0.0, 65535.0], "uint16"),
        ([-1.0, 65535.0], "float32"),
        ([0.5, 1.0], "float32"),
        ([0.0, float("nan")], "float32"),
    ],
)
def test_takes_the_shortest_numbers_that_hold_them(values: list[float], kind: str) -> None:
    assert encode(slice_of(np.array([values], np.float32))).kind == kind


def test_a_cache_keeps_the_latest_and_no_more_than_it_may() -> None:
    made: list[int] = []

    def slice_number(index: int) -> Encoded:
        made.append(index)
        return encode(slice_of(np.full((10, 10), index, np.float32)))

    cache = SliceCache(most_bytes=3 * 200)
    for index in (0, 1, 2, 0, 3, 0, 1):
        cache.get(("key", 0, index), lambda index=index: slice_number(index))
        assert cache.bytes <= 600
    # 1 went for 3, since 0 was asked for again in between.
    assert made == [0, 1, 2, 3, 1]


def test_a_slice_larger_than_the_cache_is_shown_all_the_same() -> None:
    cache = SliceCache(most_bytes=10)
    assert cache.get(("key", 0, 0), lambda: encode(slice_of(np.zeros((10, 10), np.float32)))).rows == 10
    assert cache.bytes == 0


def test_a_thumbnail_is_a_small_png() -> None:
    content = thumbnail(slice_of(np.arange(400 * 300, dtype=np.float32).reshape(400, 300)), (0, 100))
    assert content.startswith(b"\x89PNG")
