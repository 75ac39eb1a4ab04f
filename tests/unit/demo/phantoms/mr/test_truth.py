"""Measurements against slow, obvious references."""

from itertools import combinations

import numpy as np
import pytest

from app.demo.phantoms.mr.metastases import Metastasis
from app.demo.phantoms.mr.scan import sample_scan
from app.demo.phantoms.mr.truth import longest_distance, truth_of


@pytest.mark.parametrize("count", [1, 2, 9, 120])
def test_the_longest_distance_is_that_of_the_farthest_pair(count: int) -> None:
    points = np.random.default_rng(count).normal(size=(count, 3)) * (1, 4, 2)
    slow = max((float(np.linalg.norm(a - b)) for a, b in combinations(points, 2)), default=0.0)
    assert longest_distance(points) == pytest.approx(slow)


def test_points_of_one_plane_have_a_longest_distance_too() -> None:
    flat = np.array([[0.0, float(y), float(x)] for y in range(8) for x in range(9)])
    assert longest_distance(flat) == pytest.approx(np.hypot(7, 8))


def test_a_box_is_measured_in_millimetres() -> None:
    scan = sample_scan(3, "axial", 2.0)
    mask = np.zeros(scan.shape, dtype=np.uint8)
    mask[10:13, 20:22, 30:34] = 2
    one = Metastasis("solid", (0.0, 0.0, 0.0), 5.0, 1.5, 1.0, 0.5, 0.0, ())
    (lesion,) = truth_of(mask, (one, one), scan)
    assert (lesion.number, lesion.voxels, lesion.middle_slice) == (2, 24, 10)
    assert lesion.volume_mm3 == pytest.approx(24 * 8)
    assert lesion.longest_diameter_mm == pytest.approx(2 * np.sqrt(4 + 1 + 9), abs=1e-3)
    np.testing.assert_allclose(lesion.centre_mm, (scan.affine_lps @ [11, 20.5, 31.5, 1])[:3], atol=1e-3)
