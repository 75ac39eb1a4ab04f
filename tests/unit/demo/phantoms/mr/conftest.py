"""Coarse heads, drawn once: a few seconds for all tests together."""

import pytest

from app.demo.phantoms.anatomy import sample_head
from app.demo.phantoms.mr.phantom import MrPhantom, make_mr_phantom
from app.demo.phantoms.mr.scene import Scene, draw_scene
from app.demo.phantoms.mr.signals import sample_signals

DIAMETERS = (20.0, 11.0, 6.0, 3.0, 2.0)


@pytest.fixture(scope="session")
def scene() -> Scene:
    return draw_scene(sample_head(5), sample_signals(5, enhanced=True), 2.5)


@pytest.fixture(scope="session")
def axial() -> MrPhantom:
    return make_mr_phantom(5, diameters=DIAMETERS, plane="axial", spacing_mm=2.0, pitch_mm=2.5)


@pytest.fixture(scope="session")
def sagittal() -> MrPhantom:
    return make_mr_phantom(6, diameters=(12.0, 5.0), plane="sagittal", spacing_mm=3.0)
