"""The detector: more attenuation is brighter, noise falls with the dose, coarse blur equals a full one."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from app.demo.phantoms.radiographs.detector import Exposure, coarse_blur, expose
from app.demo.phantoms.radiographs.plane import Plane

PLAIN = Exposure(1e5, 0.2, 20.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0)


def _stairs() -> np.ndarray:
    return np.repeat(np.linspace(0, 4, 8, dtype=np.float32), 16)[None, :].repeat(128, axis=0)


def test_what_attenuates_more_is_brighter() -> None:
    picture = expose(_stairs(), Plane(128, 128, 2.0), PLAIN, 3)
    steps = picture[:, 8::16].mean(axis=0)
    assert (np.diff(steps) > 0).all()
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1


def test_a_higher_dose_has_less_noise() -> None:
    plane = Plane(128, 128, 0.4)
    flat = np.full(plane.shape, 2.0, dtype=np.float32)
    low, high = (expose(flat, plane, replace(PLAIN, quanta_mm2=dose), 3).std() for dose in (3e3, 3e5))
    assert 6 < low / high < 14


def test_the_noise_comes_from_the_seed() -> None:
    plane = Plane(32, 32, 1.0)
    flat = np.ones(plane.shape, dtype=np.float32)
    one, again, other = (expose(flat, plane, PLAIN, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_coarse_blur_is_the_full_one() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((101, 90)).astype(np.float32), 3)
    full = ndimage.gaussian_filter(image, 12, mode="nearest", truncate=3)
    assert float(np.abs(coarse_blur(image, 12.0) - full).max()) < 0.1 * float(np.ptp(full))
