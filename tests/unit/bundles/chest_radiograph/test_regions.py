"""Regions of a radiograph: pixels, boxes and labels stay those of one place."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundles.chest_radiograph.scripts.regions import RandRegiond
from bundles.chest_radiograph.scripts.truth import known_boxes

SIZE = 96


def item(boxes: list[list[float]], classes: list[int], labels: list[float], **more: Any) -> dict[str, Any]:
    """A radiograph whose pixels are bright, each box filled with a value of its own."""
    image = torch.full((1, SIZE, SIZE), 0.5)
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        image[0, int(y0) : int(y1), int(x0) : int(x1)] = 0.9 - 0.1 * index
    return {
        "image": image,
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "classes": torch.tensor(classes, dtype=torch.int64),
        "labels": torch.tensor(labels),
        "boxed": torch.ones(len(labels), dtype=torch.bool),
        **more,
    }


def known(made: dict[str, Any]) -> list[bool]:
    answer: list[bool] = known_boxes(made["labels"], made["classes"], boxed=made["boxed"]).tolist()
    return answer


def test_no_side_takes_the_whole_image() -> None:
    given_item = item([[4.0, 4, 20, 20]], [0], [1.0, 0.0])
    made = RandRegiond(0)(given_item)
    assert made.keys() == given_item.keys()
    assert all(made[key] is given_item[key] for key in made)


@given(seed=st.integers(0, 2**31), x=st.integers(0, 80), y=st.integers(0, 80), side=st.sampled_from([24, 32, 64, 200]))
def test_pixels_and_labels_go_with_their_boxes(seed: int, x: int, y: int, side: int) -> None:
    original = item([[float(x), float(y), x + 12.0, y + 9.0]], [0], [1.0, 0.0])
    made = RandRegiond(side).set_random_state(seed)(original)
    assert made["image"].shape == (1, min(side, SIZE), min(side, SIZE))
    filled = (made["image"][0] > 0.8).nonzero().float()
    whole = min(12, SIZE - x) * min(9, SIZE - y)
    if len(made["boxes"]):
        x0, y0, x1, y1 = made["boxes"][0].tolist()
        assert [y0, x0] == filled.amin(dim=0).tolist()
        assert [y1, x1] == (filled.amax(dim=0) + 1).tolist()
        assert (made["labels"].tolist(), known(made)) == ([1, 0], [True, True])
    elif len(filled):
        assert len(filled) < 0.3 * 12 * 9 <= whole or whole < 0.3 * 12 * 9
        assert made["labels"][0].isnan()
        assert known(made) == [False, True]
    else:
        assert (made["labels"].tolist(), known(made)) == ([0, 0], [True, True])


def test_most_regions_hold_a_box() -> None:
    original = item([[70.0, 70, 80, 80]], [0], [1.0, 0.0])
    cut = RandRegiond(32, share=0.75).set_random_state(0)
    held = sum(bool(len(cut(original)["boxes"])) for _ in range(300)) / 300
    assert 0.7 < held < 0.95


def test_a_cut_finding_hides_only_its_own_class() -> None:
    """A pneumothorax reaches into every region by a sliver; the lesion in it is known all the same."""
    original = item([[40.0, 40, 50, 50], [0.0, 0, 96, 30]], [0, 1], [1.0, 1.0])
    cut = RandRegiond(40, share=0, least_visible=0.5)
    cut.R.seed(0)
    seen = {}
    for _ in range(300):
        made = cut(original)
        seen[(tuple(made["classes"].tolist()), tuple(made["boxed"].tolist()))] = (known(made), made["labels"])
    sliver, labels = seen[((0,), (True, False))]
    assert sliver == [True, False]
    assert labels[0] == 1
    assert labels[1].isnan()


@pytest.mark.parametrize(("labels", "boxed"), [([1.0, 0.0], [True, True]), ([1.0, 0.0], [False, True])])
def test_a_finding_without_a_box_is_unknown_in_a_region(labels: list[float], boxed: list[bool]) -> None:
    made = RandRegiond(32)(item([], [], labels, boxed=torch.tensor(boxed)))
    assert made["labels"][0].isnan()
    assert made["labels"][1] == 0
    assert known(made) == [False, True]


def test_an_unknown_label_stays_unknown() -> None:
    made = RandRegiond(32)(item([], [], [float("nan"), 0.0]))
    assert made["labels"][0].isnan()


def test_air_is_no_place_for_a_region() -> None:
    original = item([], [], [0.0, 0.0])
    original["image"][:, :, : SIZE // 2] = 0
    cut = RandRegiond(24).set_random_state(0)
    assert all((cut(original)["image"] > 0.4).any() for _ in range(50))


def test_a_negative_side_is_refused() -> None:
    with pytest.raises(ValueError, match="expected pixels"):
        RandRegiond(-1)
