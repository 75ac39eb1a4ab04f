from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from app.contours import MOST_LINES, outline


def filled(lines: list[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """By the even-odd rule: a pixel is inside if an odd number of upright edges lies left of its centre."""
    inside = np.zeros(shape, dtype=bool)
    for line in lines:
        for (x0, y0), (x1, y1) in pairwise(line):
            if x0 == x1:
                low, high = sorted((int(y0), int(y1)))
                inside[low:high, int(x0) :] ^= True
    return inside


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_holds_what_was_inside_and_nothing_else(inside: NDArray[np.bool_]) -> None:
    lines = outline(inside)
    assert np.array_equal(filled(lines, inside.shape), inside)
    assert all(np.array_equal(line[0], line[-1]) for line in lines)


def test_a_box_has_four_corners() -> None:
    inside = np.zeros((6, 8), dtype=bool)
    inside[1:4, 2:7] = True
    (line,) = outline(inside)
    assert len(line) == 5
    assert {tuple(point) for point in line.tolist()} == {(2, 1), (7, 1), (7, 4), (2, 4)}


def test_a_hole_has_a_line_of_its_own() -> None:
    inside = np.ones((5, 5), dtype=bool)
    inside[2, 2] = False
    assert [len(line) for line in outline(inside)] == [5, 5]


def test_pixels_that_touch_at_a_corner_are_apart() -> None:
    assert len(outline(np.eye(3, dtype=bool))) == 3


def test_nothing_has_no_line() -> None:
    assert outline(np.zeros((3, 3), dtype=bool)) == []


@pytest.mark.parametrize("most", [300, 60, 12])
def test_a_long_line_is_simplified_and_stays_near(most: int) -> None:
    row, column = np.mgrid[:256, :256]
    inside = np.hypot(row - 128, column - 120) < 100
    (exact,), (line,) = outline(inside), outline(inside, most)
    assert len(line) <= most < len(exact)
    assert np.array_equal(line[0], line[-1])
    distance = np.hypot(line[:, 0] - 120.5, line[:, 1] - 128.5)
    assert np.abs(distance - 100).max() < 1.5


def test_of_very_many_pieces_the_longest_are_kept() -> None:
    inside = np.zeros((40, 40), dtype=bool)
    inside[::2, ::2] = True
    inside[30:38, 30:38] = True
    lines = outline(inside)
    assert len(lines) == MOST_LINES
    assert len(lines[0]) > 5
