"""Boxes against their images, and overlaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.datalist.boxes import area, around, inside, overlap
from bundles.common.datalist.problems import Damaged, Kind

SIDES = st.integers(1, 60)


def test_a_box_up_to_the_border_stays() -> None:
    assert inside((0, 0, 100, 50), (100, 50)) == (0, 0, 100, 50)


def test_rounding_over_the_border_is_drawn_back() -> None:
    assert inside((-0.4, 1, 100.3, 50), (100, 50)) == (0, 1, 100, 50)


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ((-1, 0, 5, 5), "outside of its image of 100×50"),
        ((0, 0, 101, 5), "outside of its image"),
        ((0, 0, 5, 51), "outside of its image"),
        ((5, 5, 5, 9), "has no area"),
        ((5, 9, 8, 9), "has no area"),
        ((9, 5, 5, 9), "has no area"),
        ((100, 5, 100.4, 9), "has no area inside"),
        ((float("nan"), 5, 9, 9), "no number"),
        ((0, 0, float("inf"), 9), "no number"),
    ],
)
def test_refused(edges: tuple[float, float, float, float], words: str) -> None:
    with pytest.raises(Damaged, match=words) as caught:
        inside(edges, (100, 50))
    assert caught.value.kind is Kind.BOX


@given(st.tuples(SIDES, SIDES, SIDES, SIDES), st.tuples(SIDES, SIDES, SIDES, SIDES))
def test_overlap_counts_pixels(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    def pixels(box: tuple[int, ...]) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box[0], box[0] + box[2]) for y in range(box[1], box[1] + box[3])}

    a, b = pixels(first), pixels(second)
    boxes = [(box[0], box[1], box[0] + box[2], box[1] + box[3]) for box in (first, second)]
    assert overlap(boxes[0], boxes[1]) == pytest.approx(len(a & b) / len(a | b))
    assert area(boxes[0]) == len(a)


def test_around() -> None:
    assert around([(3, 4), (1, 9), (2, 2)]) == (1, 2, 3, 9)
    with pytest.raises(Damaged, match="without points"):
        around([])
