"""Assignment and losses equal a loop over every location and box."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bundles.chest_radiograph.scripts.assignment import LIMITS, assign
from bundles.chest_radiograph.scripts.grid import grid_of
from bundles.chest_radiograph.scripts.loss import DetectionLoss
from bundles.chest_radiograph.scripts.truth import Truth, known_boxes
from tests.unit.bundles.chest_radiograph import reference

SIZE = (96, 128)
TIGHT = (16.0, 32.0, 48.0, 64.0)


@st.composite
def box(draw: st.DrawFn) -> list[float]:
    x0, y0 = draw(st.integers(0, 120)), draw(st.integers(0, 88))
    return [float(x0), float(y0), float(x0 + draw(st.integers(1, 128))), float(y0 + draw(st.integers(1, 96)))]


def outputs_of(generator: torch.Generator, batch: int) -> dict[str, Tensor]:
    count = len(grid_of(*SIZE).points)
    return {
        "classes": torch.randn(batch, count, 2, generator=generator, requires_grad=True),
        "boxes": (torch.rand(batch, count, 4, generator=generator) * 60 + 1).requires_grad_(),
        "centre": torch.randn(batch, count, generator=generator, requires_grad=True),
        "image": torch.randn(batch, 2, generator=generator, requires_grad=True),
    }


def truth_of(boxes: list, classes: list, labels: list) -> Truth:
    marks = [torch.tensor([math.nan if label is None else float(label) for label in row]) for row in labels]
    kinds = tuple(torch.tensor(each, dtype=torch.int64) for each in classes)
    known = [known_boxes(row, each) for row, each in zip(marks, kinds, strict=True)]
    drawn = tuple(torch.tensor(each, dtype=torch.float32).reshape(-1, 4) for each in boxes)
    return Truth(SIZE, drawn, kinds, torch.stack(marks), torch.stack(known))


@given(
    boxes=st.lists(box(), max_size=6), limits=st.sampled_from([LIMITS, TIGHT]), radius=st.sampled_from([0.5, 1.5, 9.0])
)
def test_every_location_takes_the_box_of_the_loop(boxes: list, limits: tuple[float, ...], radius: float) -> None:
    expected = [reference.assigned(boxes, place, limits, radius) for place in reference.points(*SIZE)]
    drawn = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    assert assign(drawn, grid_of(*SIZE), limits, radius).tolist() == expected


def test_the_smaller_of_two_boxes_is_taken_and_of_equal_ones_the_first() -> None:
    grid = grid_of(*SIZE)
    boxes = torch.tensor([[0.0, 0, 40, 40], [8, 8, 32, 32], [8, 8, 32, 32]])
    at = (grid.points == 20).all(dim=1) & (grid.levels == 0)
    assert assign(boxes, grid)[at].tolist() == [1]


def test_limits_must_grow() -> None:
    with pytest.raises(ValueError, match="expected 4 that grow"):
        assign(torch.zeros(0, 4), grid_of(*SIZE), (64.0, 32.0, 128.0, 256.0))


@settings(max_examples=15)
@given(boxes=st.lists(st.lists(box(), max_size=3), min_size=2, max_size=2), seed=st.integers(0, 99), data=st.data())
def test_the_terms_are_those_of_the_loop(boxes: list, seed: int, data: st.DataObject) -> None:
    classes = [[data.draw(st.integers(0, 1)) for _ in each] for each in boxes]
    labels = [[1 if kind in own else data.draw(st.sampled_from([0, 1, None])) for kind in (0, 1)] for own in classes]
    known = [[kind in own or row[kind] == 0 for kind in (0, 1)] for own, row in zip(classes, labels, strict=True)]
    outputs = outputs_of(torch.Generator().manual_seed(seed), 2)
    plain = {name: value.tolist() for name, value in outputs.items()}
    expected = reference.losses(plain, boxes, classes, labels=labels, known=known, size=SIZE, limits=TIGHT, radius=1.5)
    loss = DetectionLoss(limits=TIGHT, classes=2.0, image=0.5)
    terms = loss.terms(outputs, truth_of(boxes, classes, labels))
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(expected, rel=1e-4, abs=1e-6)
    weighted = 2 * expected["classes"] + expected["boxes"] + expected["centre"] + 0.5 * expected["image"]
    assert loss(outputs, truth_of(boxes, classes, labels)).item() == pytest.approx(weighted, rel=1e-4)


def test_a_batch_without_boxes_has_a_loss_and_gradients_everywhere() -> None:
    outputs = outputs_of(torch.Generator().manual_seed(1), 2)
    loss = DetectionLoss()(outputs, truth_of([[], []], [[], []], [[0, 0], [0, None]]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert loss.item() > 0
    gradients = {name: value.grad for name, value in outputs.items()}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    assert gradients["boxes"].abs().sum() == 0
    assert (gradients["classes"][:, :, 0] > 0).all()


def test_what_nobody_marked_teaches_nothing() -> None:
    """A positive label without boxes, or no label: the class's focal loss leaves the image out."""
    outputs = outputs_of(torch.Generator().manual_seed(2), 2)
    DetectionLoss(image=0.0)(outputs, truth_of([[], []], [[], []], [[1, 0], [None, 0]])).backward()
    gradient = outputs["classes"].grad
    assert gradient is not None
    assert gradient[:, :, 0].abs().sum() == 0
    assert (gradient[:, :, 1] > 0).all()


def test_extreme_logits_stay_finite() -> None:
    outputs = {name: value.detach() * 1e4 for name, value in outputs_of(torch.Generator().manual_seed(3), 1).items()}
    leaves = {name: value.requires_grad_() for name, value in outputs.items()}
    loss = DetectionLoss()(leaves, truth_of([[[8.0, 8, 60, 60]]], [[0]], [[1, 0]]))
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(torch.isfinite(value.grad).all() for value in leaves.values())
