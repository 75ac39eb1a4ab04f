"""From outputs of any form to one number a voxel; what cannot be decided is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.errors import Failed
from app.infer.measuring import label_map
from bundles.common.model_zoo.declared import Declared, Label

SHAPE = (3, 4, 2)


def declared(channels: int = 3, background: bool = True, **changes: Any) -> Declared:
    first = 1 if background else 0
    values: dict[str, Any] = {
        "name": "parts",
        "title": "Parts",
        "version": "1",
        "task": "segmentation",
        "modalities": ("CT",),
        "dimensions": 3,
        "patch": (8, 8, 8),
        "channels": channels,
        "labels": tuple(Label(number, f"part {number}") for number in range(first, channels)),
        "background": background,
        "told": "",
        "training_data": "none",
    }
    return Declared(**(values | changes))


@given(arrays(np.uint8, SHAPE, elements=st.integers(0, 2)))
def test_labels_one_hot_channels_and_shares_say_the_same(labels: Any) -> None:
    one_hot = np.stack([labels == number for number in range(3)]).astype(np.float32)
    shares = one_hot * 0.5 + 0.25
    for pred in (labels[None], one_hot, shares):
        assert np.array_equal(label_map(declared(), torch.as_tensor(pred)), labels)


@given(arrays(np.uint8, SHAPE, elements=st.integers(0, 2)))
def test_channels_without_a_background_move_up_by_one(labels: Any) -> None:
    channels = np.stack([labels == number for number in (1, 2)]).astype(np.float32)
    assert np.array_equal(label_map(declared(2, background=False), torch.as_tensor(channels)), labels)


def test_one_channel_for_one_structure_is_a_mask_of_it() -> None:
    mask = torch.zeros(1, *SHAPE)
    mask[0, 1, 2, 1] = 1
    assert np.argwhere(label_map(declared(1, background=False), mask)).tolist() == [[1, 2, 1]]


@pytest.mark.parametrize(
    ("about", "pred", "words"),
    [
        (declared(), torch.full((1, *SHAPE), 3.0), "the label 3, which its metadata do not name"),
        (declared(), torch.full((1, *SHAPE), 0.5), "no whole numbers"),
        (declared(), torch.full((1, *SHAPE), float("nan")), "values that are no numbers"),
        (declared(), torch.full((3, *SHAPE), float("nan")), "values that are no numbers"),
        (declared(), torch.full((1, *SHAPE), -1.0), "no whole numbers"),
        (declared(), torch.full((1, *SHAPE), 256.0), "no whole numbers"),
        (declared(), torch.zeros(2, *SHAPE), "gave 2 channels, its metadata say 3"),
        (declared(2, background=False), torch.ones(2, *SHAPE), "overlap"),
        (declared(2, background=False), torch.full((2, *SHAPE), 0.4), "its postprocessing decides nothing"),
        (declared(2, background=False), torch.zeros(1, *SHAPE), "which is which is not told"),
    ],
)
def test_what_cannot_be_told_for_sure_is_refused(about: Declared, pred: torch.Tensor, words: str) -> None:
    with pytest.raises(Failed, match=words):
        label_map(about, pred)
