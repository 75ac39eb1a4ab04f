"""Heads: the same for the same seed, with the densities of textbooks in the right places."""

from functools import cache

import numpy as np
import pytest

from app.demo.phantoms.anatomy import frame_of, sample_head
from app.demo.phantoms.fields import head_grid
from app.demo.phantoms.tissue import Tissue, draw_head


@cache
def drawn(seed: int = 2) -> Tissue:
    head = sample_head(seed)
    frame = frame_of(head, head_grid(2.5))
    return draw_head(head, frame, frame)


def test_the_same_seed_draws_the_same_head_bit_for_bit() -> None:
    assert sample_head(9) == sample_head(9)
    first = drawn().hu
    head = sample_head(2)
    frame = frame_of(head, head_grid(2.5))
    assert np.array_equal(first, draw_head(head, frame, frame).hu)


def test_other_seeds_draw_other_heads() -> None:
    assert sample_head(1) != sample_head(2)


def test_ventricles_hold_fluid() -> None:
    tissue = drawn()
    assert abs(float(np.median(tissue.hu[tissue.ventricles > 0.95])) - tissue.head.csf_hu) < 2


@pytest.mark.parametrize(("grey", "low", "high"), [(True, 35.5, 42.5), (False, 26, 33)])
def test_grey_and_white_matter_have_their_density(grey: bool, low: float, high: float) -> None:
    tissue = drawn()
    wanted = tissue.grey > 0.98 if grey else tissue.grey < 0.02
    inside = (tissue.frame.depth > 4) & (tissue.fluid < 0.01) & (tissue.ventricles < 0.01) & wanted
    assert low < float(np.median(tissue.hu[inside])) < high


def test_the_skull_is_bone_and_the_outside_is_air() -> None:
    tissue = drawn()
    depth = tissue.frame.depth
    shell = (depth < -1.5) & (depth > -3) & (tissue.frame.z > 10)
    assert float(np.median(tissue.hu[shell])) > 500
    assert float(tissue.hu[0, 0, 0]) == -1000


def test_old_brains_hold_more_fluid() -> None:
    from dataclasses import replace

    head = sample_head(2)
    frame = frame_of(head, head_grid(2.5))
    young, old = (draw_head(replace(head, atrophy=value), frame, frame) for value in (0.05, 0.9))
    assert old.fluid.sum() > 1.5 * young.fluid.sum()
