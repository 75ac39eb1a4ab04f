"""From boxes to regions; what is no box of the image never becomes one."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Failed
from app.findings import Region, RegionKind
from app.infer.regions import Boxes, regions_of
from bundles.common.contract import RegionOutput

ROWS, COLUMNS = 100, 200
WHOLE = (0.0, 0.0, 200.0, 100.0)


def read(output: RegionOutput, *boxes: tuple[tuple[float, ...], float, int]) -> tuple[Region, ...]:
    edges = [edge for box, _, _ in boxes for edge in box]
    flat = Boxes(edges, [score for _, score, _ in boxes], [float(kind) for _, _, kind in boxes])
    return regions_of(output, flat, "1.2", ROWS, COLUMNS)


def test_boxes_of_the_class_above_the_threshold_the_most_certain_first() -> None:
    output = RegionOutput(index=1, threshold=0.3, limit=2)
    found = read(
        output,
        ((0, 0, 1, 1), 0.30, 1),
        ((0, 0, 2, 2), 0.29, 1),
        ((0, 0, 3, 3), 0.99, 0),
        ((0, 0, 4, 4), 0.80, 1),
        ((0, 0, 5, 5), 0.50, 1),
    )
    assert found == (
        Region("1.2", (0, 0, 4, 4), RegionKind.DETECTION, 0.8),
        Region("1.2", (0, 0, 5, 5), RegionKind.DETECTION, 0.5),
    )


def test_attention_has_no_certainty_and_no_threshold() -> None:
    output = RegionOutput(kind="attention", threshold=0.5)
    assert read(output, ((1, 2, 3, 4), 0.1, 0)) == (Region("1.2", (1, 2, 3, 4), RegionKind.ATTENTION, None),)


def test_no_boxes_are_no_regions() -> None:
    assert read(RegionOutput()) == ()


def test_rounded_edges_are_drawn_to_the_border() -> None:
    assert [region.box for region in read(RegionOutput(), ((-0.4, -0.5, 200.5, 100.2), 0.9, 0))] == [WHOLE]


@pytest.mark.parametrize(
    ("box", "score", "words"),
    [
        ((0, 0, math.nan, 5), 0.9, "a box (0.0, 0.0, nan, 5.0), expected four finite numbers"),
        ((0, 0, math.inf, 5), 0.9, "expected four finite numbers"),
        ((0, 0, 201, 5), 0.9, "edges outside of an image of 200 x 100 pixels"),
        ((0, 0, 5, 100.6), 0.9, "edges outside"),
        ((-1, 0, 5, 5), 0.9, "edges outside"),
        ((3, 3, 3, 9), 0.9, "no area of an image"),
        ((5, 3, 3, 9), 0.9, "no area"),
        ((200.2, 0, 200.4, 5), 0.9, "no area"),
        ((0, 0, 5, 5), 1.1, "'scores' holds 1.1, expected a certainty"),
        ((0, 0, 5, 5), math.nan, "'scores' holds nan"),
    ],
)
def test_what_is_no_box_is_a_failure(box: tuple[float, ...], score: float, words: str) -> None:
    with pytest.raises(Failed, match=re.escape(words)):
        read(RegionOutput(), (box, score, 0))


def test_a_broken_box_of_another_class_is_a_failure_too() -> None:
    with pytest.raises(Failed, match="finite"):
        read(RegionOutput(index=1), ((0, 0, math.nan, 5), 0.9, 0))


@pytest.mark.parametrize("boxes", [Boxes([1, 2, 3], [0.5], [0]), Boxes([1, 2, 3, 4], [0.5], []), Boxes([1], [], [])])
def test_numbers_that_do_not_belong_together_are_a_failure(boxes: Boxes) -> None:
    with pytest.raises(Failed, match="expected four edges and one class for each score"):
        regions_of(RegionOutput(), boxes, "1.2", ROWS, COLUMNS)


anything = st.floats(-10, 210) | st.sampled_from([math.nan, math.inf, -math.inf])
sides = st.tuples(anything, anything, anything, anything)
boxes_of_any_kind = st.lists(st.tuples(sides, st.floats(0, 1), st.integers(0, 2)), max_size=6)


@given(boxes_of_any_kind, st.builds(RegionOutput, index=st.integers(0, 2), limit=st.integers(1, 3)))
def test_whatever_comes_regions_lie_in_the_image(
    boxes: list[tuple[tuple[float, ...], float, int]], output: RegionOutput
) -> None:
    try:
        found = read(output, *boxes)
    except Failed:
        assert any(
            not all(math.isfinite(edge) for edge in box)
            or min(box[0], box[1]) < 0
            or box[2] > COLUMNS
            or box[3] > ROWS
            or box[0] >= min(box[2], COLUMNS)
            or box[1] >= min(box[3], ROWS)
            for box, _, _ in boxes
        )
        return
    assert len(found) <= output.limit
    certainties = [region.certainty or 0.0 for region in found]
    assert certainties == sorted(certainties, reverse=True)
    for region in found:
        x0, y0, x1, y1 = region.box
        assert 0 <= x0 < x1 <= COLUMNS
        assert 0 <= y0 < y1 <= ROWS
        assert (region.certainty or 0.0) >= output.threshold
