"""The loss leaves out what is not known, and is never NaN."""

import pytest
import torch

from bundles.common.mask_loss import dice_loss, focal_loss
from bundles.head_ct_hemorrhage.scripts.loss import MultiTaskLoss, masked_bce, on_one_grid

NAN = float("nan")


def logits(batch: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = {"hemorrhage": 1, "types": 5, "slices": 8}
    return {name: torch.randn(batch, width, requires_grad=True) for name, width in shapes.items()}


def test_masked_bce_is_the_mean_over_known_labels() -> None:
    scores = torch.tensor([[0.3, -1.2, 2.0]])
    expected = -(torch.log(torch.sigmoid(scores[0, 0])) + torch.log(1 - torch.sigmoid(scores[0, 2]))) / 2
    assert torch.allclose(masked_bce(scores, torch.tensor([[1.0, NAN, 0.0]])), expected)


def test_tasks_without_labels_add_zero_and_get_no_gradient() -> None:
    predicted = logits()
    targets = {
        "hemorrhage": torch.tensor([[1.0], [0.0]]),
        "types": torch.full((2, 5), NAN),
        "slices": torch.full((2, 8), NAN),
    }
    loss = MultiTaskLoss()(predicted, targets)
    loss.backward()
    assert torch.equal(loss, masked_bce(predicted["hemorrhage"], targets["hemorrhage"]))
    assert not predicted["types"].grad.any()
    assert not predicted["slices"].grad.any()


def test_a_batch_without_any_label_gives_zero() -> None:
    predicted = logits()
    loss = MultiTaskLoss()(predicted, {name: torch.full_like(value, NAN) for name, value in predicted.items()})
    loss.backward()
    assert loss.item() == 0


def test_weights_scale_the_tasks() -> None:
    predicted = logits()
    targets = {name: torch.ones_like(value) for name, value in predicted.items()}
    parts = [masked_bce(predicted[name], targets[name]) for name in ("hemorrhage", "types", "slices")]
    expected = 2 * parts[0] + 0.5 * parts[1] + 3 * parts[2]
    assert torch.allclose(MultiTaskLoss(hemorrhage=2, types=0.5, slices=3)(predicted, targets), expected)


def with_mask(known: list[float]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Logits with a mask on twice the target's grid, and targets without other labels."""
    predicted = logits(len(known))
    targets: dict[str, torch.Tensor] = {name: torch.full_like(value, NAN) for name, value in predicted.items()}
    targets |= {"mask": torch.rand(len(known), 1, 8, 4, 4), "mask_known": torch.tensor(known)[:, None]}
    predicted["segmentation"] = torch.randn(len(known), 1, 8, 8, 8, requires_grad=True)
    return predicted, targets


def test_the_mask_adds_dice_and_focal_loss_on_the_coarser_grid() -> None:
    predicted, targets = with_mask([1.0, 1.0])
    scores, truth = on_one_grid(predicted["segmentation"], targets["mask"])
    assert scores.shape == truth.shape == (2, 1, 8, 4, 4)
    assert torch.equal(truth, (targets["mask"] >= 0.5).float())
    assert torch.allclose(scores[0, 0, 0, 1, 2], predicted["segmentation"][0, 0, 0, 2:4, 4:6].mean())
    coarse, shares = on_one_grid(torch.randn(1, 1, 8, 2, 2), torch.eye(4).expand(1, 1, 8, 4, 4))
    assert coarse.shape == shares.shape == (1, 1, 8, 2, 2)
    assert torch.equal(shares[0, 0, 0], torch.eye(2))
    known = torch.ones(2, 1, 1, 1, 1)
    expected = dice_loss(scores, truth, known) + focal_loss(scores, truth, known)
    assert torch.allclose(MultiTaskLoss(segmentation=3.0)(predicted, targets), 3 * expected)


def test_cases_without_a_mask_do_not_count() -> None:
    predicted, targets = with_mask([1.0, 0.0])
    first = MultiTaskLoss()(predicted, targets)
    changed = predicted["segmentation"].detach().clone()
    changed[1] += 5
    assert torch.equal(first, MultiTaskLoss()({**predicted, "segmentation": changed}, targets))
    changed[0] += 5
    assert not torch.equal(first, MultiTaskLoss()({**predicted, "segmentation": changed}, targets))


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({"auxiliary": ()}, {"hemorrhage"}),
        ({"auxiliary": ("types",)}, {"hemorrhage", "types"}),
        ({"auxiliary": ("types", "slices")}, {"hemorrhage", "types", "slices"}),
        ({}, {"hemorrhage", "types", "slices", "segmentation"}),
        ({"only": "segmentation"}, {"segmentation"}),
    ],
)
def test_tasks_are_switched_by_name(options: dict[str, object], trained: set[str]) -> None:
    predicted, targets = with_mask([1.0, 1.0])
    targets |= {name: torch.ones_like(predicted[name]) for name in ("hemorrhage", "types", "slices")}
    MultiTaskLoss(**options)(predicted, targets).backward()
    assert {name for name, value in predicted.items() if value.grad is not None and value.grad.any()} == trained


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="'masks' is no auxiliary task; known are types, slices, segmentation"):
        MultiTaskLoss(auxiliary=["masks"])
