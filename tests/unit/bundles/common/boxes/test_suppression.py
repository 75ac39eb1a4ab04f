"""The same boxes survive as with MONAI's loop, to the last tie."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.box_utils import non_max_suppression
from torch import Tensor

from bundles.common.boxes.suppression import batched_nms, non_maximum_suppression


def random_boxes(count: int, seed: int, grid: float = 0.0) -> tuple[Tensor, Tensor]:
    """Boxes and scores; on a coarse grid, many boxes, overlaps and scores are equal."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 200
    size = torch.rand(count, 2, generator=generator) * 60 + 4
    boxes, scores = torch.cat((low, low + size), dim=1), torch.rand(count, generator=generator)
    if grid:
        boxes, scores = (boxes / grid).round() * grid, (scores * 10).round() / 10
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + grid)
    return boxes, scores


@given(
    count=st.integers(0, 200),
    seed=st.integers(0, 10_000),
    grid=st.sampled_from([0.0, 8.0, 25.0]),
    threshold=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.6, 1.0]),
    limit=st.sampled_from([0, 1, 7, 90]),
)
def test_the_boxes_that_monai_keeps_stay_in_its_order(
    count: int, seed: int, grid: float, threshold: float, limit: int
) -> None:
    boxes, scores = random_boxes(count, seed, grid)
    expected = non_max_suppression(boxes, scores, threshold, max_proposals=limit or -1)
    assert non_maximum_suppression(boxes, scores, threshold, limit).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [64, 65, 1000])
def test_blocks_do_not_show(count: int) -> None:
    boxes, scores = random_boxes(count, count)
    expected = non_max_suppression(boxes, scores, 0.3)
    assert torch.equal(non_maximum_suppression(boxes, scores, 0.3), expected)


def test_thresholds_of_double_precision_are_compared_in_it() -> None:
    boxes, scores = random_boxes(150, 1, grid=10.0)
    expected = non_max_suppression(boxes.double(), scores.double(), 1 / 3)
    assert torch.equal(non_maximum_suppression(boxes.double(), scores.double(), 1 / 3), expected)


@given(count=st.integers(0, 150), seed=st.integers(0, 1000), grid=st.sampled_from([0.0, 20.0]))
def test_groups_are_suppressed_apart(count: int, seed: int, grid: float) -> None:
    boxes, scores = random_boxes(count, seed, grid)
    groups = torch.randint(0, 4, (count,), generator=torch.Generator().manual_seed(seed))
    expected = []
    for group in range(4):
        own = torch.nonzero(groups == group).flatten()
        expected += own[non_max_suppression(boxes[own], scores[own], 0.4).long()].tolist()
    expected.sort(key=lambda index: (-float(scores[index]), index))
    assert batched_nms(boxes, scores, groups, 0.4).tolist() == expected
    assert batched_nms(boxes, scores, groups, 0.4, limit=5).tolist() == expected[:5]


def test_a_box_that_touches_at_the_threshold_stays() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0], [0.0, 0.0, 2.0, 1.0]])
    assert non_maximum_suppression(boxes, torch.tensor([0.5, 0.9, 0.5]), 1 / 3).tolist() == [1, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_numbers_without_an_area_are_refused(value: float) -> None:
    boxes = torch.tensor([[-value, -value, value, value]])
    with pytest.raises(ValueError, match="not finite"):
        non_maximum_suppression(boxes, torch.ones(1), 0.5)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match=r"expected \(n, 4\)"):
        non_maximum_suppression(torch.zeros(2, 4), torch.zeros(3), 0.5)
    with pytest.raises(ValueError, match="1 groups"):
        batched_nms(torch.zeros(2, 4), torch.zeros(2), torch.zeros(1), 0.5)
