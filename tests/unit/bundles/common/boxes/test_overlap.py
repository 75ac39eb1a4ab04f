"""Overlaps equal a loop written from the definition."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bundles.common.boxes.overlap import iou, paired_giou, paired_iou

edge = st.integers(0, 40)


@st.composite
def box(draw: st.DrawFn) -> list[float]:
    x0, y0 = draw(edge), draw(edge)
    return [x0, y0, x0 + draw(st.integers(1, 40)), y0 + draw(st.integers(1, 40))]


def slow_iou(first: list[float], second: list[float]) -> tuple[float, float]:
    """IoU and GIoU of two boxes on whole numbers, by counting pixels."""
    own = {(x, y) for x in range(first[0], first[2]) for y in range(first[1], first[3])}
    other = {(x, y) for x in range(second[0], second[2]) for y in range(second[1], second[3])}
    union = len(own | other)
    columns = max(first[2], second[2]) - min(first[0], second[0])
    rows = max(first[3], second[3]) - min(first[1], second[1])
    overlap = len(own & other) / union
    return overlap, overlap - (columns * rows - union) / (columns * rows)


@given(first=box(), second=box())
def test_overlap_is_the_share_of_pixels(first: list[float], second: list[float]) -> None:
    a, b = torch.tensor([first]).float(), torch.tensor([second]).float()
    expected, generalised = slow_iou(first, second)
    torch.testing.assert_close(iou(a, b), torch.tensor([[expected]]))
    torch.testing.assert_close(paired_iou(a, b), torch.tensor([expected]))
    torch.testing.assert_close(paired_giou(a, b), torch.tensor([generalised]))


def test_every_box_with_every_other() -> None:
    first, second = (
        torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3]]),
        torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3], [0, 0, 2, 2]]),
    )
    expected = [[1 / 4, 0, 1], [0, 1 / 4, 1 / 7]]
    torch.testing.assert_close(iou(first, second), torch.tensor(expected))


def test_boxes_apart_attract_each_other() -> None:
    first: Tensor = torch.tensor([[0.0, 0.0, 2.0, 2.0]], requires_grad=True)
    paired_giou(first, torch.tensor([[10.0, 0.0, 12.0, 2.0]])).sum().backward()
    assert first.grad is not None
    assert first.grad[0, 2] > 0


def test_empty_boxes_have_no_overlap() -> None:
    empty = torch.zeros(1, 4)
    assert paired_iou(empty, empty).item() == 0
    assert torch.isfinite(paired_giou(empty, empty)).all()
    assert iou(torch.zeros(0, 4), empty).shape == (0, 1)
