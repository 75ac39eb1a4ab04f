"""Small phantoms: coarse heads, and scans whose pixels are noise, for tests of everything but the drawing."""

import numpy as np
import pytest

from app.demo.phantoms.acquisition import Acquisition, sample_acquisition
from app.demo.phantoms.anatomy import sample_head
from app.demo.phantoms.phantom import Phantom
from app.demo.phantoms.truth import truth_of


def scan(table_mm: tuple[float, ...] = (-10.0, -5.0, 0.0, 5.0), tilt_deg: float = 0.0, size: int = 32) -> Acquisition:
    return Acquisition(
        seed=3,
        size=size,
        field_of_view_mm=224.0,
        table_mm=table_mm,
        thickness_mm=5.0,
        tilt_deg=tilt_deg,
        angles_deg=(2.0, -1.0, 3.0),
        shift_mm=(1.0, 2.0, -1.0),
        noise_hu=4.0,
        grain_px=1.0,
        metal=False,
        motion_px=0.0,
        calibration_hu=0.0,
        padding_hu=None,
        table_visible=False,
    )


def flat_phantom(acquisition: Acquisition, seed: int = 11) -> Phantom:
    """Noise with a block of subdural blood in the second slice."""
    shape = (len(acquisition.table_mm), acquisition.size, acquisition.size)
    volume = np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)
    volume[:, :2, :2] = -2000
    mask = np.zeros(shape, dtype=np.uint8)
    mask[1 % shape[0], 10:14, 10:14] = 2
    truth = truth_of(mask, acquisition.pixel_mm**2, acquisition.normal_spacings_mm)
    return Phantom(seed, sample_head(seed), (), acquisition, volume, mask, truth)


@pytest.fixture
def phantom() -> Phantom:
    return flat_phantom(scan())


@pytest.fixture
def tilted() -> Phantom:
    return flat_phantom(scan(tilt_deg=15.0))


@pytest.fixture
def seeded_acquisition() -> Acquisition:
    return sample_acquisition(5, 64, 70.0)
