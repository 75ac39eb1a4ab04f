"""Batches are changed within bounds, the same for the same seed, and padding stays padding."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bundles.common.views import VIEWS
from bundles.radiograph_view.scripts.augment import OTHER, Strength, augment, cut_out, junk, recoloured
from bundles.radiograph_view.scripts.running import AugmentedBatch

STILL = Strength(
    junk=0, turned=0, tilt=0, zoom=(1, 1), zoom_upright=(1, 1), shift=0, stretch=0, inverted=0, framed=0, noise=0
)  # all that remains of a chest is its mirror


def batch(count: int = 8, rows: int = 40, columns: int = 30, side: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    images = torch.zeros(count, 1, side, side)
    images[:, :, :rows, :columns] = torch.rand(count, 1, rows, columns)
    return images, torch.tensor([[rows, columns]] * count), torch.arange(count) % len(VIEWS)


@given(st.integers(0, 2**31), st.integers(8, 40), st.integers(8, 40), st.sampled_from([32, 48]))
@settings(max_examples=20)
def test_every_result_is_a_picture_of_0_to_1_with_a_view(seed: int, rows: int, columns: int, size: int) -> None:
    torch.manual_seed(seed)
    images, sizes, labels = batch(8, rows, columns)
    changed, told = augment(images, sizes, labels, size)
    assert changed.shape == (8, 1, size, size)
    assert bool(torch.isfinite(changed).all())
    assert (float(changed.min()), float(changed.max()) <= 1) == (0.0, True)
    assert all(after in {before, OTHER} for before, after in zip(labels.tolist(), told.tolist(), strict=True))


def test_the_same_seed_gives_the_same_batch() -> None:
    images, sizes, labels = batch()
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(augment(images, sizes, labels, 32)[0])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_validation_looks_the_same_in_every_epoch_and_leaves_the_generator_alone() -> None:
    images, sizes, labels = batch()
    placement = torch.cat([sizes, sizes], dim=1)
    prepare = AugmentedBatch(32, seed=1)
    item = {"image": images, "placement": placement, "label": labels}
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    first, _ = prepare(item, "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(prepare(item, "cpu")[0], first)


def test_an_upright_picture_without_changes_is_itself_or_its_mirror() -> None:
    images, sizes, _ = batch(16, 40, 40)
    torch.manual_seed(0)
    cut, inside = cut_out(images, sizes.float(), torch.ones(16, dtype=torch.bool), 40, STILL)
    assert bool((inside == 1).all())
    same = [torch.allclose(one, other, atol=1e-5) for one, other in zip(cut, images, strict=True)]
    flipped = [torch.allclose(one, other.flip(-1), atol=1e-5) for one, other in zip(cut, images, strict=True)]
    assert all(one or other for one, other in zip(same, flipped, strict=True))
    assert any(same)
    assert any(flipped)


def test_outside_of_the_mask_all_is_black() -> None:
    images, sizes, _ = batch(8, 40, 20)
    torch.manual_seed(0)
    cut, inside = cut_out(images, sizes.float(), torch.ones(8, dtype=torch.bool), 40, STILL)
    changed = recoloured(cut, inside, replace(STILL, inverted=1.0, framed=1.0, noise=0.1))
    assert float((changed * (1 - inside)).abs().max()) == 0.0
    assert float((1 - inside).sum()) > 0


def test_what_is_made_up_is_called_other() -> None:
    images, sizes, labels = batch(8)
    _, told = augment(images, sizes, labels, 32, replace(STILL, junk=1.0))
    assert told.tolist() == [OTHER] * 8


@pytest.mark.parametrize("count", [1, 30])
def test_junk_is_finite_and_never_flat(count: int) -> None:
    torch.manual_seed(1)
    made = junk(count, 48)
    assert bool(torch.isfinite(made).all())
    assert float(made.flatten(1).std(dim=1).min()) > 0
