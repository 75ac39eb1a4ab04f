"""Opacities make lungs denser where they should, labels say what was drawn, and other chests stay as they were."""

import numpy as np
import pytest

from app.demo.phantoms.radiographs.chest import chest_plane, make_chest, make_chest_with_opacities
from app.demo.phantoms.radiographs.chest_body import draw_torso, sample_chest
from app.demo.phantoms.radiographs.chest_opacities import (
    CONSOLIDATION,
    EFFUSION,
    FINDINGS,
    INTERSTITIAL,
    Opacities,
    draw_opacities,
    sample_opacities,
)

SIZE = 128


@pytest.mark.parametrize("finding", [CONSOLIDATION, EFFUSION, INTERSTITIAL])
def test_an_opacity_adds_density_within_the_lungs_alone(finding: str) -> None:
    for seed in range(3):
        chest = sample_chest(seed)
        plane = chest_plane(chest, SIZE)
        torso = draw_torso(chest, plane)
        after, lung = torso.attenuation.copy(), torso.lung.copy()
        draw_opacities(Opacities(frozenset({finding}), 0, None), chest, plane, after, lung)
        added = after - torso.attenuation
        assert added.min() >= -1e-5
        assert added[torso.lung > 0].max() > 0.05
        assert np.abs(added[torso.lung == 0]).max() == 0
        assert (lung <= torso.lung).all()
        assert (lung >= 0).all()


def test_an_effusion_lies_below_and_an_interstitial_pattern_everywhere() -> None:
    chest = sample_chest(1)
    plane = chest_plane(chest, SIZE)
    torso = draw_torso(chest, plane)
    rows = np.indices(torso.lung.shape)[0]
    middle = np.average(rows, weights=torso.lung)
    for finding, below in ((EFFUSION, True), (INTERSTITIAL, False)):
        after, lung = torso.attenuation.copy(), torso.lung.copy()
        draw_opacities(Opacities(frozenset({finding}), 0, None), chest, plane, after, lung)
        added = np.clip(after - torso.attenuation, 0, None)
        assert bool(np.average(rows, weights=added) > middle + 10) is below


def test_what_is_drawn_is_what_the_labels_say() -> None:
    for seed in (900, 902, 903, 906, 909):
        drawn = make_chest_with_opacities(seed, SIZE)
        wanted = sample_opacities(sample_chest(seed))
        assert {name for name, value in drawn.labels.items() if value} == set(wanted.shown)
        assert (drawn.kind, tuple(drawn.labels)) == ("chest-opacities", FINDINGS)
        kinds = {mark.kind for mark in drawn.marks}
        assert ("pneumothorax" in kinds) is ("pneumothorax" in wanted.shown)


def test_every_count_of_findings_occurs_in_its_share() -> None:
    counts = [len(sample_opacities(sample_chest(seed)).shown) for seed in range(600)]
    shares = [counts.count(number) / 600 for number in range(4)]
    assert shares[0] == pytest.approx(0.30, abs=0.06)
    assert shares[1] == pytest.approx(0.45, abs=0.06)
    assert sum(shares[2:]) == pytest.approx(0.25, abs=0.06)


def test_a_chest_without_opacities_is_drawn_as_ever() -> None:
    nothing = Opacities(frozenset(), 0, None)
    plain = make_chest(5, SIZE, findings=(0, None))
    assert np.array_equal(plain.picture, make_chest(5, SIZE, findings=(0, None), opacities=nothing).picture)
