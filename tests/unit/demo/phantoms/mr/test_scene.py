"""A drawn head: tissues where they belong, vessels in the fluid, the brain all inside the skull."""

import numpy as np
import pytest

from app.demo.phantoms.mr.scan import sample_scan
from app.demo.phantoms.mr.scene import Scene, cerebellum
from app.demo.phantoms.mr.vessels import Tube, draw_vessels, sample_vessels


def test_white_matter_is_one_and_other_tissues_are_as_their_signals_say(scene: Scene) -> None:
    upper = (scene.frame.z > 0) & (scene.frame.depth > 8)
    white = upper & (scene.grey < 0.01) & (scene.fluid < 0.01)
    assert float(np.median(scene.signal[white])) == pytest.approx(1.0, abs=0.05)
    grey = upper & (scene.grey > 0.99) & (scene.fluid < 0.01)
    assert float(np.median(scene.signal[grey])) == pytest.approx(scene.signals.grey, abs=0.06)
    fluid = scene.ventricles > 0.99
    assert float(np.median(scene.signal[fluid])) == pytest.approx(scene.signals.fluid, abs=0.05)
    sinuses = (scene.sinuses > 0.99) & (scene.frame.z > 0)
    assert float(np.median(scene.signal[sinuses])) == pytest.approx(scene.signals.blood, abs=0.1)


def test_a_brain_is_as_large_as_brains_are(scene: Scene) -> None:
    litres = float((scene.inside * (1 - scene.fluid)).sum()) * scene.frame.grid.pitch_mm**3 / 1e6
    assert 0.9 < litres < 1.8
    behind = float((scene.inside * cerebellum(scene.frame)).sum() / scene.inside.sum())
    assert 0.05 < behind < 0.2


def test_air_is_dark_and_fat_of_the_scalp_bright(scene: Scene) -> None:
    assert float(scene.signal[-1].max()) < 0.05
    shell = -scene.frame.depth - scene.head.skull_mm
    scalp = (shell > 0.4 * scene.head.scalp_mm) & (shell < 0.7 * scene.head.scalp_mm) & (scene.frame.z > 30)
    assert float(np.median(scene.signal[scalp])) > 1.0


def test_veins_keep_to_the_fluid(scene: Scene) -> None:
    tubes = sample_vessels(scene)
    assert len(tubes) > 70
    wandering = np.concatenate([tube.points_mm for tube in tubes[20:]])
    grid = scene.frame.grid
    index = np.rint((wandering[:, ::-1] - np.array(grid.origin_mm)) / grid.pitch_mm).astype(int)
    index = index[np.all((index >= 0) & (index < grid.shape), axis=1)]
    along = scene.fluid[tuple(index.T)].mean()
    assert along > 2 * scene.fluid[scene.inside > 0.5].mean()


def test_a_thin_vessel_is_drawn_fainter_and_a_plain_one_darkens() -> None:
    scan = sample_scan(2, "axial", 2.0)
    line = np.stack([np.zeros(12), np.zeros(12), np.linspace(-15, 15, 12)], axis=1)
    peaks = {}
    for radius in (0.3, 2.5):
        volume = np.ones(scan.shape, dtype=np.float32)
        draw_vessels(volume, (Tube(line, np.full(12, radius)),), scan, blood=2.0)
        peaks[radius] = float(volume.max())
    assert peaks[2.5] == pytest.approx(2.0)
    assert 1.1 < peaks[0.3] < 1.5
    dark = np.ones(scan.shape, dtype=np.float32)
    draw_vessels(dark, (Tube(line, np.full(12, 2.5)),), scan, blood=0.5)
    assert float(dark.min()) == pytest.approx(0.5, abs=0.02)
    assert float(dark.max()) == 1.0
