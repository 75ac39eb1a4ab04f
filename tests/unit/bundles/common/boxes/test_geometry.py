"""Boxes are converted both ways, cut at the image, and refused by the file's name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.boxes.geometry import area, as_boxes, centres_to_edges, clip, edges_to_centres, inside_image

quarter = st.integers(-4000, 4000).map(lambda number: number / 4)


@given(low=st.tuples(quarter, quarter), high=st.tuples(quarter, quarter))
def test_edges_come_back_from_centres(low: tuple[float, float], high: tuple[float, float]) -> None:
    boxes = torch.tensor([[*low, *high]])
    assert torch.equal(centres_to_edges(edges_to_centres(boxes)), boxes)


def test_area_and_centre() -> None:
    boxes = torch.tensor([[1.0, 2.0, 4.0, 8.0]])
    assert area(boxes).tolist() == [18]
    assert edges_to_centres(boxes).tolist() == [[2.5, 5, 3, 6]]


def test_a_box_is_cut_at_the_edges_of_rows_and_columns() -> None:
    boxes = torch.tensor([[-5.0, -5.0, 500.0, 500.0], [30.0, 0.0, 40.0, 5.0]])
    assert clip(boxes, rows=10, columns=20).tolist() == [[0, 0, 20, 10], [20, 0, 20, 5]]


@pytest.mark.parametrize(
    "box", [[1, 1, 1, 5], [1, 5, 9, 5], [5, 5, 1, 1], [0, 0, float("nan"), 4], [0, 0, float("inf"), 4], [10, 10, 4, 4]]
)
def test_a_box_without_area_is_refused_by_name(box: list[float]) -> None:
    with pytest.raises(ValueError, match=r"chest7\.png: box .* has no area"):
        as_boxes([[0, 0, 4, 4], box], "chest7.png")


def test_a_box_has_four_numbers() -> None:
    with pytest.raises(ValueError, match=r"chest7\.png: box \[1, 2, 3\] has not four"):
        as_boxes([[1, 2, 3]], "chest7.png")
    assert as_boxes([], "chest7.png").shape == (0, 4)


@pytest.mark.parametrize("box", [[-2, 0, 5, 5], [0, 0, 5, 12], [0, -1.5, 5, 5], [0, 0, 21.5, 5], [40, 40, 60, 60]])
def test_a_box_that_reaches_out_of_the_image_is_refused_by_name(box: list[float]) -> None:
    with pytest.raises(ValueError, match=r"chest7\.png: box .* 20 columns and 10 rows"):
        inside_image(as_boxes([box], "chest7.png"), rows=10, columns=20, name="chest7.png")


def test_a_box_that_sticks_out_by_a_pixel_is_cut_and_one_wholly_outside_refused() -> None:
    boxes = as_boxes([[-1, 0, 21, 10.5]], "chest7.png")
    assert inside_image(boxes, rows=10, columns=20, name="chest7.png").tolist() == [[0, 0, 20, 10]]
    with pytest.raises(ValueError, match=r"chest7\.png: box .* outside"):
        inside_image(as_boxes([[20, 0, 20.9, 5]], "chest7.png"), rows=10, columns=20, name="chest7.png")
