"""Each kind of bleed lies where it should."""

from functools import cache

import numpy as np
import pytest

from app.demo.phantoms.anatomy import sample_head
from app.demo.phantoms.bleeds import KINDS, Bleed, displaced, sample_bleeds, sample_kinds
from app.demo.phantoms.fields import Array
from app.demo.phantoms.phantom import draw
from app.demo.phantoms.tissue import Tissue

SEEDS = (3, 8)


@cache
def bled(kind: str, seed: int) -> tuple[Tissue, Array, Bleed]:
    head = sample_head(seed)
    bleeds = sample_bleeds(head, (kind,))
    tissue, fractions = draw(head, bleeds, 2.5)
    return tissue, fractions[KINDS.index(kind) + 1], bleeds[0]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_bleed_stays_inside_the_cranial_cavity(kind: str, seed: int) -> None:
    tissue, fraction, _ = bled(kind, seed)
    assert float(fraction.sum()) > 0
    assert float(tissue.frame.depth[fraction > 0].min()) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_an_epidural_bleed_touches_the_skull(seed: int) -> None:
    tissue, fraction, bleed = bled("epidural", seed)
    depth = tissue.frame.depth[fraction > 0.5]
    assert float(depth.min()) < 3
    assert float(depth.max()) < 1.4 * bleed.thickness_mm + 3


@pytest.mark.parametrize("seed", SEEDS)
def test_an_intraventricular_bleed_lies_in_the_ventricles(seed: int) -> None:
    tissue, fraction, _ = bled("intraventricular", seed)
    assert bool((fraction <= tissue.ventricles + 1e-6).all())


@pytest.mark.parametrize("seed", SEEDS)
def test_an_intraparenchymal_bleed_keeps_off_the_skull_and_the_ventricles(seed: int) -> None:
    tissue, fraction, _ = bled("intraparenchymal", seed)
    assert float(tissue.frame.depth[fraction > 0.6].min()) > 1
    assert float(tissue.ventricles[fraction > 0.6].max()) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_subdural_bleed_stays_on_its_side(seed: int) -> None:
    tissue, fraction, bleed = bled("subdural", seed)
    assert float((bleed.side * tissue.brain.x[fraction > 0.5]).min()) > -1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_subarachnoid_bleed_is_thin(seed: int) -> None:
    from scipy import ndimage

    _, fraction, _ = bled("subarachnoid", seed)
    solid = fraction > 0.5
    assert int(ndimage.binary_erosion(solid, iterations=3).sum()) < 0.05 * int(solid.sum())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_blood_is_brighter_than_brain_and_darker_than_bone(kind: str, seed: int) -> None:
    tissue, fraction, bleed = bled(kind, seed)
    inside = tissue.hu[fraction > 0.95]
    if inside.size == 0:  # too thin to fill a voxel of the coarse grid
        inside = tissue.hu[fraction > 0.7]
    expected = (bleed.hu + bleed.layered_hu) / 2
    assert abs(float(np.median(inside)) - expected) < abs(bleed.hu - bleed.layered_hu) / 2 + 20


def test_a_mass_pushes_the_brain_to_the_other_side() -> None:
    head = sample_head(3)
    bleed = Bleed("subdural", "convexity", 1, (60.0, 0.0, 20.0), 1, 60.0, 10.0, 70.0, 70.0, 6.0)
    from app.demo.phantoms.anatomy import frame_of
    from app.demo.phantoms.fields import head_grid

    frame = frame_of(head, head_grid(5.0))
    moved = displaced(frame, (bleed,))
    shift = moved.x - frame.x
    assert float(shift.min()) >= 0
    assert 5 < float(shift.max()) <= 6
    assert displaced(frame, ()) is frame


def test_kinds_are_one_to_three_and_in_order() -> None:
    drawn = [sample_kinds(seed) for seed in range(60)]
    assert {len(kinds) for kinds in drawn} == {1, 2, 3}
    assert all(list(kinds) == [kind for kind in KINDS if kind in kinds] for kinds in drawn)
    assert {kind for kinds in drawn for kind in kinds} == set(KINDS)
