"""Chests: what the truth says is what was drawn, and where it says."""

from dataclasses import replace

import numpy as np
import pytest

from app.demo.phantoms.radiographs.chest import chest_plane, make_chest
from app.demo.phantoms.radiographs.chest_body import draw_torso, sample_chest
from app.demo.phantoms.radiographs.chest_findings import (
    Lesion,
    draw_lesion,
    draw_pneumothorax,
    pneumothorax_gap,
    sample_findings,
    sample_lesions,
    sample_pneumothorax,
)
from app.demo.phantoms.radiographs.plane import Plane
from app.demo.phantoms.radiographs.radiograph import LESION, PNEUMOTHORAX

SIZE = 128


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_gives_the_same_picture(seed: int) -> None:
    one, again = make_chest(seed, SIZE), make_chest(seed, SIZE)
    assert np.array_equal(one.picture, again.picture)
    assert one.boxes == again.boxes
    assert one.picture.shape == (SIZE, SIZE)
    assert one.picture.dtype == np.float32


def test_lungs_are_darker_than_what_lies_between_and_below() -> None:
    for seed in range(4):
        chest = sample_chest(seed)
        torso = draw_torso(chest, Plane(SIZE, SIZE, 3.0))
        aerated = torso.lung > 100
        assert aerated.mean() > 0.08
        assert float(torso.attenuation[aerated].mean()) + 1 < float(torso.attenuation[SIZE // 2, SIZE // 2])


def test_boxes_lie_in_the_picture_and_labels_follow_them() -> None:
    seen = set()
    for seed in range(12):
        chest = make_chest(seed, SIZE)
        for x0, y0, x1, y1 in chest.boxes:
            assert 0 <= x0 < x1 <= SIZE
            assert 0 <= y0 < y1 <= SIZE
        assert chest.labels == {
            "lesion": int(LESION in chest.classes),
            "pneumothorax": int(PNEUMOTHORAX in chest.classes),
        }
        seen |= set(chest.classes)
    assert seen == {LESION, PNEUMOTHORAX}


def test_findings_change_the_picture_inside_their_boxes_alone() -> None:
    """Up to the scatter and the tone curve, which spread over the whole picture: most of the change is in the box."""
    plane = Plane(256, 256, 1.2)
    lesion = Lesion((30.0, -20.0), (12.0, 9.0, 10.0), 20.0, 0.8, 0.3, 0, 0.1)
    out = np.zeros(plane.shape, dtype=np.float32)
    mark = draw_lesion(lesion, plane, out, 5)
    assert mark is not None
    x0, y0, x1, y1 = (int(edge) for edge in mark.box)
    inside = out[y0:y1, x0:x1].sum()
    assert inside > 0.97 * out.sum() > 0
    column, row = plane.pixels(30.0, -20.0)
    assert x0 < column < x1
    assert y0 < row < y1
    assert (x1 - x0) * plane.pitch_mm == pytest.approx(24, abs=5)


@pytest.mark.parametrize("seed", range(4))
def test_a_pneumothorax_is_lucent_and_lies_along_the_wall(seed: int) -> None:
    with_air = make_chest(seed, 256, findings=(0, sample_pneumothorax(sample_chest(seed))))
    assert with_air.classes == [PNEUMOTHORAX]
    chest = sample_chest(seed)
    plane = chest_plane(chest, 256)
    found = sample_pneumothorax(chest)
    far, gap = pneumothorax_gap(found, chest, plane, draw_torso(chest, plane).field)
    air = (far > 0) & (far < gap)
    columns = np.nonzero(air)[1]
    assert float(gap[air].max()) <= 1.5 * found.width
    middle = plane.pixels(0, 0)[0]
    assert (columns > middle).mean() > 0.9 if found.sign > 0 else (columns < middle).mean() > 0.9
    healthy = make_chest(seed, 256, findings=(0, None))
    assert healthy.boxes == []
    assert float(with_air.picture[air].mean()) < float(healthy.picture[air].mean())


def test_no_lesion_lies_in_the_air_of_a_pneumothorax() -> None:
    plane = Plane(96, 96, 4.0)
    chest = sample_chest(2)
    torso = draw_torso(chest, plane)
    found = replace(sample_pneumothorax(chest), width=50.0, apical=1.1)
    far, gap = pneumothorax_gap(found, chest, plane, torso.field)
    vessels = np.zeros(plane.shape, dtype=np.float32)
    draw_pneumothorax(found, chest, plane, torso.attenuation, vessels, torso.lung, torso.field)
    air = (far > 0) & (far < gap) & (gap > 2)
    assert air.sum() > 100
    lesions = sample_lesions(chest, 30, plane, torso.lung)
    assert lesions
    places = [plane.pixels(*lesion.centre) for lesion in lesions]
    assert not any(air[int(row), int(column)] for column, row in places)


def test_about_as_many_have_findings_as_are_meant_to() -> None:
    drawn = [sample_findings(sample_chest(seed)) for seed in range(400)]
    assert 0.37 < np.mean([count > 0 for count, _ in drawn]) < 0.53
    assert 0.2 < np.mean([air is not None for _, air in drawn]) < 0.36
