"""Geometry of acquisitions: slices run along row direction × column direction, and points land where they should."""

import numpy as np
import pytest

from app.demo.phantoms.fields import Grid
from app.demo.phantoms.mr.scan import PLANES, Plane, Scan, sample, sample_scan, spoil


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_slices_run_along_the_normal(plane: Plane) -> None:
    for seed in range(6):
        scan = sample_scan(seed, plane)
        affine = scan.affine_lps
        normal = np.cross(scan.row_direction, scan.column_direction)
        np.testing.assert_allclose(affine[:3, 0], normal * scan.slice_mm, atol=1e-9)
        np.testing.assert_allclose(affine[:3, 1], scan.column_direction * scan.pixel_mm)
        np.testing.assert_allclose(affine[:3, 2], scan.row_direction * scan.pixel_mm)
        np.testing.assert_allclose(scan.origins[3], (affine @ [3, 0, 0, 1])[:3])
        nearest = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
        assert int(np.argmax(np.abs(normal))) == nearest


def test_training_volumes_hold_the_head_in_160_by_192_by_160() -> None:
    assert sample_scan(1, "axial", 1.2).shape == (160, 192, 160)
    assert sample_scan(1, "sagittal", 1.2).shape == (160, 160, 192)
    assert sample_scan(1, "sagittal").shape[1:] == (256, 256)
    assert 160 <= sample_scan(1, "sagittal").shape[0] <= 192


def test_both_planes_and_oblique_slices_turn_up() -> None:
    scans = [sample_scan(seed) for seed in range(60)]
    assert {scan.plane for scan in scans} == {"sagittal", "axial"}
    oblique = [any(scan.oblique_deg) for scan in scans]
    assert 0 < sum(oblique) < len(scans)


def _blob(scan: Scan, center: np.ndarray) -> np.ndarray:
    """A Gaussian ball of the head's frame, sampled by the scan, and its centre of mass in voxels."""
    grid = Grid((-100.0, -110.0, -90.0), 2.0, (96, 111, 91))
    z, y, x = (grid.axis(index) for index in range(3))
    away = (z[:, None, None] - center[2]) ** 2 + (y[None, :, None] - center[1]) ** 2 + (x - center[0]) ** 2
    seen = sample(np.exp(-away / 72).astype(np.float32), grid, scan)
    index = np.argwhere(seen > 0.02)
    return np.average(index, axis=0, weights=seen[seen > 0.02])


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_what_is_sampled_and_what_is_drawn_by_index_agree(plane: Plane) -> None:
    scan = sample_scan(11, plane, 3.0)
    center = np.array([21.0, -13.0, 17.0])
    np.testing.assert_allclose(_blob(scan, center), scan.to_index(center[None])[0], atol=0.05)
    np.testing.assert_allclose(
        (scan.affine_lps @ [*scan.to_index(center[None])[0], 1])[:3], scan.to_lps(center[None])[0]
    )


def test_noise_of_air_is_rician() -> None:
    scan = sample_scan(3, "axial", 4.0)
    air = np.zeros(scan.shape, dtype=np.float32)
    spoil(air, scan)
    assert air.min() >= 0
    assert float(air.mean()) == pytest.approx(scan.noise * np.sqrt(np.pi / 2), rel=0.02)
