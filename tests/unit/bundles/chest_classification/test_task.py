"""Both losses against slow ones, and probabilities."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundles.chest_classification.scripts.task import ClassificationLoss, Task, probabilities, scaled

NAN = float("nan")
Numbers = st.floats(-8, 8)


def slow_binary(logits: list[list[float]], labels: list[list[float]], smoothing: float) -> float:
    total, known = 0.0, 0
    for row, truth in zip(logits, labels, strict=True):
        for value, label in zip(row, truth, strict=True):
            if math.isnan(label):
                continue
            goal = label * (1 - smoothing) + smoothing / 2
            shown = 1 / (1 + math.exp(-value))
            total -= goal * math.log(shown) + (1 - goal) * math.log(1 - shown)
            known += 1
    return total / max(known, 1)


ROW = st.tuples(
    st.lists(Numbers, min_size=3, max_size=3), st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=3, max_size=3)
)


@given(st.lists(ROW, min_size=1, max_size=5), st.sampled_from([0.0, 0.1]))
def test_of_several_findings_only_known_labels_count(
    rows: list[tuple[list[float], list[float]]], smoothing: float
) -> None:
    logits, labels = [row[0] for row in rows], [row[1] for row in rows]
    found = ClassificationLoss("multi_label", smoothing)(
        torch.tensor(logits, dtype=torch.float64), torch.tensor(labels, dtype=torch.float64)
    )
    assert float(found) == pytest.approx(slow_binary(logits, labels, smoothing), abs=1e-9)


def test_a_batch_of_which_nothing_is_known_moves_nothing() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    ClassificationLoss("multi_label")(logits, torch.full((2, 3), NAN)).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(2, 3))


def test_one_class_of_several_is_the_logarithm_of_its_share() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    slow = [-math.log(math.exp(2) / sum(math.exp(x) for x in (2, -1, 0.5))), math.log(3)]
    assert float(ClassificationLoss("multi_class")(logits, labels)) == pytest.approx(sum(slow) / 2, abs=1e-6)


def test_probabilities_are_each_ones_own_or_add_up_to_one() -> None:
    logits = torch.tensor([1.0, -1.0, 0.0])
    assert torch.allclose(probabilities(logits, Task.MULTI_LABEL), 1 / (1 + torch.exp(-logits)))
    assert float(probabilities(logits, Task.MULTI_CLASS).sum()) == pytest.approx(1)


def test_scaling_is_by_class() -> None:
    assert scaled(torch.tensor([[1.0, 2.0]]), [(2.0, 1.0), (1.0, -2.0)]).tolist() == [[3.0, 0.0]]
    assert scaled(torch.tensor([1.0]), []).tolist() == [1.0]


def test_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match="'both'; expected multi_label or multi_class"):
        ClassificationLoss("both")
