"""The loss against slow sums; what is unknown weighs nothing."""

import math

import pytest
import torch

from bundles.brain_metastasis.scripts.loss import MetastasisLoss
from bundles.common.mask_loss import ALPHA, LEAST_VOXELS, dice_loss, focal_loss


def batch(known=(1.0, 1.0)):
    generator = torch.Generator().manual_seed(5)
    logits = {
        "mask": torch.randn(2, 1, 6, 5, generator=generator).requires_grad_(),
        "slices": torch.randn(2, 1, generator=generator).requires_grad_(),
    }
    targets = {
        "mask": (torch.rand(2, 1, 6, 5, generator=generator) < 0.3).float(),
        "slices": torch.tensor([[1.0], [0.0]]),
        "mask_known": torch.tensor(known)[:, None],
    }
    return logits, targets


@pytest.mark.parametrize("known", [(1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_the_mask_terms_are_sums_over_known_voxels(known):
    logits, targets = batch(known)
    shared = found = true = focus = 0.0
    for image in range(2):
        for logit, truth in zip(logits["mask"][image].flatten(), targets["mask"][image].flatten(), strict=True):
            p, t, k = 1 / (1 + math.exp(-float(logit))), float(truth), known[image]
            shared, found, true = shared + k * p * t, found + k * p, true + k * t
            right, share = (p, ALPHA) if t else (1 - p, 1 - ALPHA)
            focus += k * share * (1 - right) ** 2 * -math.log(right)
    flags = targets["mask_known"][:, :, None, None]
    assert float(dice_loss(logits["mask"], targets["mask"], flags)) == pytest.approx(
        1 - (2 * shared + 1) / (found + true + 1), abs=1e-5
    )
    assert float(focal_loss(logits["mask"], targets["mask"], flags)) == pytest.approx(
        focus / max(true, LEAST_VOXELS), rel=1e-4
    )


def test_weights_add_up():
    logits, targets = batch()
    flags = targets["mask_known"][:, :, None, None]
    dice, focus = (float(term(logits["mask"], targets["mask"], flags)) for term in (dice_loss, focal_loss))
    one, other = (float(each) for each in logits["slices"].flatten())
    entropy = (math.log(1 + math.exp(-one)) + math.log(1 + math.exp(other))) / 2
    found = float(MetastasisLoss(mask=2.0, slices=3.0, focal_share=0.5)(logits, targets))
    assert found == pytest.approx(2 * (dice + 0.5 * focus) + 3 * entropy, rel=1e-5)


def test_unknown_slices_get_no_gradient():
    logits, targets = batch((1.0, 0.0))
    targets["slices"][1] = torch.nan
    loss = MetastasisLoss()(logits, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert float(logits["slices"].grad[1]) == 0.0
    assert float(logits["slices"].grad[0]) != 0.0
    assert float(logits["mask"].grad[1].abs().sum()) == 0.0


def test_nothing_known_is_a_loss_of_nothing():
    logits, targets = batch((0.0, 0.0))
    targets["slices"][:] = torch.nan
    loss = MetastasisLoss()(logits, targets)
    loss.backward()
    assert float(loss) == 0.0
    assert float(logits["mask"].grad.abs().sum()) == 0.0
