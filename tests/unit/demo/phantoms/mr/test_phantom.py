"""The same seed gives the same head; the truth is what the mask says; contrast agent does what it does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from app.demo.phantoms.mr.metastases import sample_count, sample_diameters
from app.demo.phantoms.mr.phantom import MrPhantom, make_mr_phantom
from app.demo.phantoms.mr.scan import sample
from app.demo.phantoms.mr.scene import draw_scene
from tests.unit.demo.phantoms.mr.conftest import DIAMETERS


def test_the_seed_decides_everything(sagittal: MrPhantom) -> None:
    again = make_mr_phantom(6, diameters=(12.0, 5.0), plane="sagittal", spacing_mm=3.0)
    other = make_mr_phantom(7, diameters=(12.0, 5.0), plane="sagittal", spacing_mm=3.0)
    assert np.array_equal(again.volume, sagittal.volume)
    assert np.array_equal(again.mask, sagittal.mask)
    assert again.lesions == sagittal.lesions
    assert not np.array_equal(other.volume, sagittal.volume)


def test_every_lesion_is_one_piece_of_the_mask_with_its_number(axial: MrPhantom) -> None:
    pieces, count = ndimage.label(axial.mask > 0, structure=np.ones((3, 3, 3)))
    assert count == len(DIAMETERS) == len(axial.lesions)
    for lesion in axial.lesions:
        inside = axial.mask == lesion.number
        assert len(np.unique(pieces[inside])) == 1
        assert int(inside.sum()) == lesion.voxels
        assert lesion.volume_mm3 == pytest.approx(lesion.voxels * 8.0)
        assert inside[lesion.middle_slice].any()


def test_lesions_are_as_large_as_they_were_asked_to_be(axial: MrPhantom) -> None:
    assert [lesion.diameter_mm for lesion in axial.lesions] == list(DIAMETERS)
    for lesion in axial.lesions[:3]:
        ball = np.pi / 6 * lesion.diameter_mm**3
        assert 0.65 * ball < lesion.volume_mm3 < 1.5 * ball
        assert 0.75 * lesion.diameter_mm - 2 < lesion.longest_diameter_mm < 1.35 * lesion.diameter_mm + 2


def test_centres_are_where_the_metastases_were_put(axial: MrPhantom) -> None:
    placed = axial.scan.to_lps(np.array([one.center_mm for one in axial.metastases]))
    for lesion, center in zip(axial.lesions, placed, strict=True):
        # Half a voxel's diagonal, and a tenth of the size for the waves of its surface.
        assert np.linalg.norm(np.array(lesion.centre_mm) - center) < 1.8 + 0.1 * lesion.diameter_mm


def test_metastases_lie_in_the_brain(axial: MrPhantom) -> None:
    drawn = draw_scene(axial.head, axial.signals, 2.5)
    inside = sample(drawn.inside, drawn.frame.grid, axial.scan)
    assert inside[axial.mask > 0].mean() > 0.97
    assert sample(drawn.ventricles, drawn.frame.grid, axial.scan)[axial.mask > 0].mean() < 0.1


def test_a_metastasis_is_brighter_than_the_head_without_it(axial: MrPhantom) -> None:
    scan = replace(axial.scan, ghost=0.0)
    full = make_mr_phantom(5, diameters=DIAMETERS, scan=scan, pitch_mm=2.5)
    bare = make_mr_phantom(5, diameters=(), scan=scan, pitch_mm=2.5)
    assert not bare.mask.any()
    assert bare.lesions == ()
    assert np.percentile((full.volume - bare.volume)[full.mask > 0], 75) > 0.2
    away = ndimage.distance_transform_edt(full.mask == 0, scan.spacing_mm)
    assert np.array_equal(full.volume[away > 45], bare.volume[away > 45])
    oedema = (full.volume - bare.volume)[(away > 3) & (away < 8)]
    assert float(oedema.mean()) < -0.01


def test_half_of_the_heads_have_metastases_and_most_of_those_are_small() -> None:
    counts = [sample_count(seed) for seed in range(600)]
    assert 0.44 < np.mean([count > 0 for count in counts]) < 0.56
    assert max(counts) <= 10
    assert {1, 2, 3, 4} <= set(counts)
    drawn = np.concatenate([sample_diameters(seed, 5) for seed in range(200)])
    assert drawn.min() >= 2
    assert drawn.max() <= 30
    assert 5 < np.median(drawn) < 7


def test_without_contrast_agent_there_is_no_metastasis_and_blood_is_dark() -> None:
    bright = make_mr_phantom(9, diameters=(), plane="axial", spacing_mm=3.0)
    plain = make_mr_phantom(9, enhanced=False, plane="axial", spacing_mm=3.0)
    assert plain.lesions == ()
    assert plain.signals.blood < 0.7
    assert bright.signals.blood > 1.4
    assert (bright.volume > 1.35).sum() > (plain.volume > 1.35).sum()
    with pytest.raises(ValueError, match="none without contrast agent"):
        make_mr_phantom(9, diameters=(5.0,), enhanced=False)


def test_stripped_heads_are_nothing_but_brain(sagittal: MrPhantom) -> None:
    bare = make_mr_phantom(6, diameters=(12.0, 5.0), plane="sagittal", spacing_mm=3.0, stripped=True)
    kept = bare.volume > 0
    assert 0.03 < kept.mean() < 0.3
    assert np.array_equal(bare.volume[kept], sagittal.volume[kept])
    assert kept[bare.mask > 0].mean() > 0.97


def test_motion_throws_ghosts_along_the_rows(sagittal: MrPhantom) -> None:
    still = replace(sagittal.scan, noise=0.0, shading=0.0, ghost=0.0)
    moved = replace(still, ghost=0.1, ghost_px=9)
    calm = make_mr_phantom(6, diameters=(), scan=still).volume
    ghosts = make_mr_phantom(6, diameters=(), scan=moved).volume
    expected = 0.1 * (np.roll(calm, 9, axis=1) + np.roll(calm, -9, axis=1))
    expected += 0.05 * (np.roll(calm, 18, axis=1) + np.roll(calm, -18, axis=1)) - 0.2 * calm
    np.testing.assert_allclose(ghosts, np.abs(calm + expected), atol=1e-4)
