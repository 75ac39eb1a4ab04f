"""Places of fractures as a second teacher, against slow references."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundles.wrist_fracture.scripts.network import WristFractureNet
from bundles.wrist_fracture.scripts.places import (
    UNKNOWN,
    PlacesLearner,
    RandRegiond,
    WristLoss,
    places_loss,
    places_of,
)

SIZE = 128


def item(boxes: list[list[float]], *, unknown: bool = False) -> dict[str, torch.Tensor]:
    image = torch.zeros(1, SIZE, SIZE)
    image[:, :, 30:90] = 0.8
    places = places_of(torch.tensor(boxes).reshape(-1, 4), (SIZE, SIZE))
    if unknown:
        places = torch.full_like(places, UNKNOWN)
    return {"image": image, "places": places, "label": torch.tensor([float(bool(boxes))])}


@given(x=st.floats(0, SIZE - 1), y=st.floats(0, SIZE - 1), width=st.floats(0.01, 60), height=st.floats(0.01, 60))
def test_the_middle_of_every_box_is_drawn_and_nothing_outside_of_it(
    x: float, y: float, width: float, height: float
) -> None:
    right, low = min(x + width, SIZE), min(y + height, SIZE)
    drawn = places_of(torch.tensor([[x, y, right, low]]), (SIZE, SIZE))[0]
    rows, columns = drawn.nonzero(as_tuple=True)
    assert len(rows) >= 1
    assert x - 1 <= columns.min() <= (x + right) / 2 + 1
    assert (x + right) / 2 - 1 <= columns.max() + 0.5 <= right + 1
    assert y - 1 <= rows.min()
    assert rows.max() <= low + 1


def test_the_loss_of_places_is_the_focal_loss_cell_by_cell() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 1, 4, 4, generator=generator)
    places = torch.zeros(3, 1, SIZE, SIZE)
    places[0, 0, 70:72, 40] = 1  # of the cell in row 2, column 1
    places[1, 0, 0, 127] = 1
    places[2] = UNKNOWN
    expected = 0.0
    for image in range(2):
        for row in range(4):
            for column in range(4):
                p = 1 / (1 + math.exp(-float(logits[image, 0, row, column])))
                there = (image, row, column) in {(0, 2, 1), (1, 0, 3)}
                expected -= 0.25 * (1 - p) ** 2 * math.log(p) if there else 0.75 * p**2 * math.log(1 - p)
    assert float(places_loss(logits, places)) == pytest.approx(expected / 2, rel=1e-5)


def test_unknown_places_and_labels_teach_nothing() -> None:
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    image = torch.zeros(2, 1, requires_grad=True)
    truth = {"label": torch.tensor([[1.0], [float("nan")]]), "places": torch.full((2, 1, SIZE, SIZE), -1.0)}
    WristLoss()({"image": image, "places": logits}, truth).backward()
    assert logits.grad is not None
    assert not logits.grad.any()
    assert image.grad is not None
    assert image.grad.flatten().tolist() == [-0.5, 0.0]


def test_the_learner_says_what_the_network_says() -> None:
    network = WristFractureNet().eval()
    x = torch.rand(2, 1, 96, 64)
    outputs = PlacesLearner(network).eval()(x)
    torch.testing.assert_close(outputs["image"], network(x))
    assert outputs["places"].shape == (2, 1, 3, 2)


@given(seed=st.integers(0, 2**31), x=st.integers(0, 100), y=st.integers(0, 100))
def test_a_region_is_labelled_by_what_it_holds(seed: int, x: int, y: int) -> None:
    whole = item([[x, y, x + 20.0, y + 12.0]])
    cut = RandRegiond(48, share=0.7).set_random_state(seed)(whole)
    assert cut["image"].shape == cut["places"].shape == (1, 48, 48)
    assert bool(cut["label"] == 1) is bool((cut["places"] > 0).any())


def test_regions_around_the_fracture_hold_it_and_those_of_unknown_places_have_no_label() -> None:
    broken, healthy, unknown = item([[40, 40, 60, 60]]), item([]), item([[40, 40, 60, 60]], unknown=True)
    near = RandRegiond(48, share=1.0).set_random_state(1)
    assert all(near(broken)["label"] == 1 for _ in range(30))
    assert all(near(healthy)["label"] == 0 for _ in range(5))
    assert all(near(unknown)["label"].isnan() for _ in range(5))
    assert RandRegiond(0)(broken)["image"].shape == (1, SIZE, SIZE)
