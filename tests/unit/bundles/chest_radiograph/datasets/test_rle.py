"""Run lengths of SIIM-ACR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from bundles.chest_radiograph.scripts.datasets.rle import box_of, decode, encode
from bundles.common.datalist.problems import Damaged

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def slow(text: str, columns: int, rows: int) -> np.ndarray:
    """As the competition's own script: one pixel after the other, down the columns."""
    mask, position = np.zeros((rows, columns), bool), 0
    numbers = [int(word) for word in text.split()]
    for gap, length in zip(numbers[0::2], numbers[1::2], strict=True):
        position += gap
        for pixel in range(position, position + length):
            mask[pixel % rows, pixel // rows] = True
        position += length
    return mask


@given(MASKS)
def test_decode_undoes_encode(mask: np.ndarray) -> None:
    text = encode(mask)
    if not mask.any():
        assert text == ""
        return
    size = mask.shape[1], mask.shape[0]
    assert decode(text, size).tolist() == mask.tolist()
    assert decode(text, size).tolist() == slow(text, *size).tolist()
    assert encode(decode(text, size)) == text


@given(MASKS)
def test_the_box_holds_the_mask_and_nothing_can_be_cut_off(mask: np.ndarray) -> None:
    if not mask.any():
        with pytest.raises(Damaged, match="empty mask"):
            box_of(mask)
        return
    x0, y0, x1, y1 = (int(edge) for edge in box_of(mask))
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert all(side.any() for side in (mask[:, x0], mask[:, x1 - 1], mask[y0], mask[y1 - 1]))


def test_columns_come_first() -> None:
    assert decode("1 2", (2, 3)).tolist() == [[False, False], [True, False], [True, False]]
    assert box_of(decode("1 2", (2, 3))) == (0, 1, 1, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2 3", "3 numbers of run lengths, expected pairs"),
        ("", "0 numbers"),
        ("1 x", "no whole numbers"),
        ("1 2.5", "no whole numbers"),
        ("1 0", "out of range"),
        ("-1 3", "out of range"),
        ("1 99999999999999999999", "no whole numbers"),
        ("3 4", "end at pixel 7 of 6"),
        ("1 2 3 4", "are the starts absolute"),
    ],
)
def test_refused(text: str, words: str) -> None:
    with pytest.raises(Damaged, match=words):
        decode(text, (2, 3))
