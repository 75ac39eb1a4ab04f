"""The loss leaves out what is not known, and is never NaN."""

import torch

from bundles.head_ct_hemorrhage.scripts.loss import MultiTaskLoss, masked_bce
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet
from bundles.head_ct_hemorrhage.scripts.supervision import MaskSupervised, SupervisedLoss

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


def test_mask_supervision_lives_in_training_alone() -> None:
    supervised = MaskSupervised(HemorrhageNet())
    image = torch.rand(2, 1, 8, 64, 64)
    assert {"mask_0", "mask_1", "mask_2"} <= set(supervised.train()(image))
    assert set(supervised.eval()(image)) == {"hemorrhage", "types", "slices"}


def test_cases_without_a_mask_do_not_count() -> None:
    loss, predicted = SupervisedLoss(), logits()
    targets: dict[str, torch.Tensor] = {name: torch.full_like(value, NAN) for name, value in predicted.items()}
    targets |= {"mask": torch.zeros(2, 5, 8, 4, 4), "mask_known": torch.tensor([[1.0], [0.0]])}
    mask = torch.randn(2, 5, 8, 4, 4)
    first = loss({**predicted, "mask_0": mask}, targets)
    mask[1] += 5
    assert torch.equal(first, loss({**predicted, "mask_0": mask}, targets))
    targets["mask_known"] = torch.zeros(2, 1)
    assert loss({**predicted, "mask_0": mask}, targets).item() == 0
