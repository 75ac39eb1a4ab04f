"""Lesions of a mask, against slow references that say what is meant."""

from collections import deque
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.common.lesions import Lesion, corners, label_lesions, measure

SHEARED = np.array([[0.9, 0.1, 0.2, -40.0], [0.0, -1.1, 0.7, 12.0], [0.3, 0.0, 2.5, 5.0], [0.0, 0.0, 0.0, 1.0]])


def slow_components(mask):
    """Flood fill over the 26 neighbours, in the order of the first voxels."""
    left = {tuple(int(x) for x in voxel) for voxel in np.argwhere(mask)}
    found = []
    while left:
        queue = deque([min(left)])
        left.remove(queue[0])
        component = []
        while queue:
            voxel = queue.popleft()
            component.append(voxel)
            for step in product((-1, 0, 1), repeat=3):
                neighbour = (voxel[0] + step[0], voxel[1] + step[1], voxel[2] + step[2])
                if neighbour in left:
                    left.remove(neighbour)
                    queue.append(neighbour)
        found.append(component)
    return found


def slow_lesion(component, affine, number, certainty=None):
    points = [affine @ (*voxel, 1) for voxel in component]
    columns = [affine[:3, axis] for axis in range(3)]
    return Lesion(
        number=number,
        voxels=len(component),
        volume_mm3=len(component) * abs(np.dot(columns[0], np.cross(columns[1], columns[2]))),
        longest_diameter_mm=max(np.linalg.norm(a - b) for a in points for b in points),
        centre_mm=tuple(sum(point[axis] for point in points) / len(points) for axis in range(3)),
        certainty=certainty,
    )


def assert_alike(lesion, expected):
    assert (lesion.number, lesion.voxels, lesion.certainty) == (expected.number, expected.voxels, expected.certainty)
    assert lesion.volume_mm3 == pytest.approx(expected.volume_mm3, rel=1e-9)
    assert lesion.longest_diameter_mm == pytest.approx(expected.longest_diameter_mm, rel=1e-9, abs=1e-9)
    assert lesion.centre_mm == pytest.approx(expected.centre_mm, rel=1e-9, abs=1e-9)


@st.composite
def masks(draw):
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.15, 0.4, 1.0])), rng


@settings(deadline=None, max_examples=60)
@given(drawn=masks(), smallest=st.sampled_from([0.0, 3.0, 8.0]))
def test_lesions_are_those_of_a_flood_fill(drawn, smallest):
    mask, rng = drawn
    probability = rng.choice([0.5, 0.625, 0.75, 1.0], size=mask.shape)
    affine = SHEARED.copy()
    affine[:3, :3] *= rng.uniform(0.5, 1.5, (1, 3))
    labels, lesions = label_lesions(mask, probability, affine, min_volume_mm3=smallest)

    expected = []
    for component in slow_components(mask):
        lesion = slow_lesion(component, affine, 0, max(float(probability[voxel]) for voxel in component))
        if lesion.volume_mm3 >= smallest:
            expected.append((component, lesion))
    expected.sort(key=lambda pair: (-pair[1].certainty, -pair[1].voxels))
    slow = np.zeros(mask.shape, np.int32)
    for number, (component, lesion) in enumerate(expected, start=1):
        for voxel in component:
            slow[voxel] = number
        assert_alike(lesions[number - 1], slow_lesion(component, affine, number, lesion.certainty))
    assert labels.dtype == np.int32
    assert len(lesions) == len(expected)
    assert np.array_equal(labels, slow)


@pytest.mark.parametrize(
    "voxels",
    [
        [(3, 3, 3)],
        [(1, 1, 1), (2, 2, 2), (3, 3, 3)],
        [(0, 4, 2), (1, 3, 2), (2, 2, 2), (0, 3, 2)],
        [(i, j, i + j) for i in range(4) for j in range(4)],
        [(2, j, k) for j in range(5) for k in range(3)],
    ],
    ids=["voxel", "diagonal line", "flat in the slice", "oblique plane", "plane of rows"],
)
def test_flat_lesions_are_measured_too(voxels):
    labels = np.zeros((8, 8, 8), np.uint8)
    for voxel in voxels:
        labels[voxel] = 1
    (lesion,) = measure(labels, SHEARED)
    assert_alike(lesion, slow_lesion(voxels, SHEARED, 1))


def test_a_ball_has_its_diameter_and_volume_on_an_anisotropic_grid():
    affine = np.diag([0.5, 0.5, 1.0, 1.0])
    i, j, k = np.indices((60, 60, 30))
    ball = (i - 30) ** 2 * 0.25 + (j - 30) ** 2 * 0.25 + (k - 15.0) ** 2 <= 10**2
    (lesion,) = measure(ball.astype(np.int64), affine)
    assert lesion.longest_diameter_mm == 20.0
    assert lesion.volume_mm3 == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)
    assert lesion.centre_mm == pytest.approx((15.0, 15.0, 15.0))


def test_the_farthest_voxels_of_a_large_region_are_corners():
    rng = np.random.default_rng(5)
    indices = np.argwhere(rng.random((9, 10, 11)) < 0.5)
    few = corners(indices)
    assert len(few) < len(indices) / 3
    distances = np.linalg.norm((indices[:, None] - indices[None]) @ SHEARED[:3, :3].T, axis=-1)
    among = np.linalg.norm((few[:, None] - few[None]) @ SHEARED[:3, :3].T, axis=-1)
    assert among.max() == pytest.approx(distances.max())


def test_numbers_of_labels_are_kept_and_lesions_need_not_be_connected():
    labels = np.zeros((5, 1, 1), np.uint16)
    labels[[0, 4]] = 7
    labels[2] = 3
    found = measure(labels, np.eye(4))
    assert [(lesion.number, lesion.voxels, lesion.longest_diameter_mm) for lesion in found] == [(3, 1, 0), (7, 2, 4)]


def test_an_empty_mask_has_no_lesions():
    labels, lesions = label_lesions(np.zeros((4, 3, 2), bool), np.ones((4, 3, 2)), np.eye(4), min_volume_mm3=0)
    assert (labels.shape, labels.dtype, int(labels.max()), lesions) == ((4, 3, 2), np.int32, 0, ())


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.5])
def test_probabilities_must_be_such(wrong):
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, 1] = True
    probability = np.full((3, 3, 3), 0.5)
    probability[1, 1, 1] = wrong
    with pytest.raises(ValueError, match="not from 0 to 1"):
        label_lesions(mask, probability, np.eye(4), min_volume_mm3=0)


def test_shapes_labels_and_affines_are_checked():
    mask = np.ones((3, 3, 3), bool)
    with pytest.raises(ValueError, match="of its shape"):
        label_lesions(mask, np.ones((3, 3, 4)), np.eye(4), min_volume_mm3=0)
    with pytest.raises(ValueError, match="volume for each voxel"):
        measure(mask.astype(int), np.diag([1.0, 0.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="integers"):
        measure(np.ones((3, 3, 3)), np.eye(4))
    with pytest.raises(ValueError, match="negative"):
        measure(-mask.astype(int), np.eye(4))
