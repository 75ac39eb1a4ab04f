"""Wrists: fractures are where the boxes say, children differ by age, and both sides are mirror images."""

import numpy as np
import pytest

from app.demo.phantoms.radiographs.long_bone import draw_long, grain, tapered
from app.demo.phantoms.radiographs.plane import Plane
from app.demo.phantoms.radiographs.wrist import KINDS, make_wrist, sample_fractures, sample_wrist
from app.demo.phantoms.radiographs.wrist_bones import Wrist, draw_bones, forearm

SIZE = 160


@pytest.mark.parametrize("kind", KINDS)
def test_a_fracture_changes_the_bone_in_its_box(kind: str) -> None:
    wrist = Wrist(4, 9.0, 0.75, "PA", 16.0, 1.0)
    plane = Plane(SIZE, SIZE, 0.8)
    bone, fracture = forearm(wrist)["radius"], sample_fractures(wrist, kind)
    tile = grain(np.random.default_rng(0))
    whole, broken = (np.zeros(plane.shape, dtype=np.float32) for _ in range(2))
    draw_long(bone, plane, whole, tile)
    box = draw_long(bone, plane, broken, tile, next(iter(fracture.values())))
    assert box is not None
    x0, y0, x1, y1 = (int(edge) for edge in box)
    changed = np.abs(broken - whole) > 0.02
    assert changed[y0:y1, x0:x1].any()
    # What lies nearer to the elbow does not move.
    assert not changed[y1 + 4 :].any()


def test_labels_and_boxes_agree() -> None:
    for seed in range(10):
        wrist = make_wrist(seed, SIZE)
        assert wrist.labels == {"fracture": int(bool(wrist.boxes))}
        for x0, y0, x1, y1 in wrist.boxes:
            assert 0 <= x0 < x1 <= wrist.picture.shape[1]
            assert 0 <= y0 < y1 <= wrist.picture.shape[0]
    assert make_wrist(3, SIZE, fracture=False).boxes == []
    assert {mark.kind for mark in make_wrist(3, SIZE, fracture=True, kind="torus").marks} == {"torus"}


def test_both_projections_show_the_same_child_and_break() -> None:
    one, two = (make_wrist(6, SIZE, fracture=True, projection=view) for view in ("PA", "LATERAL"))
    assert (one.side, one.age, one.sex) == (two.side, two.age, two.sex)
    assert one.details["fractures"] == two.details["fractures"]
    assert not np.array_equal(one.picture, two.picture)


def test_older_children_have_more_bone() -> None:
    plane = Plane(SIZE, SIZE, 0.9)
    amounts = [
        float(draw_bones(Wrist(2, age, 1.0, "PA", 16.0, 1.0), plane, {})[0][: SIZE // 2].sum()) for age in (2, 8, 14)
    ]
    assert amounts[0] < amounts[1] < amounts[2]


def test_growth_plates_close() -> None:
    assert Wrist(1, 17.0, 1.0, "PA", 16.0, 1.0).plate_mm == 0
    assert Wrist(1, 3.0, 1.0, "PA", 16.0, 1.0).plate_mm > Wrist(1, 12.0, 1.0, "PA", 16.0, 1.0).plate_mm > 0


def test_ages_are_those_of_children() -> None:
    ages = [sample_wrist(seed).age for seed in range(200)]
    assert 2 <= min(ages) < 4
    assert 16 < max(ages) <= 18


def test_levels_of_a_bone_must_rise() -> None:
    with pytest.raises(ValueError, match="must rise"):
        tapered([(0, 5, 1), (0, 6, 1)])
