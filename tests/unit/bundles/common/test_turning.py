"""Turning a stack: MONAI's `Orientation` is the reference, and memory that was laid for it is not copied."""

from itertools import permutations, product

import numpy as np
import pytest
from monai.data import MetaTensor
from monai.transforms import Orientation

from bundles.common.geometry import to_ras
from bundles.common.turning import orientation, room, touched, turned

SHAPE = (4, 3, 5)
"""Slices, rows, columns."""


def affines() -> list[np.ndarray]:
    """To LPS, from every order and direction of the axes."""
    found = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        matrix = np.eye(4)
        matrix[:3, :3] = (np.diag(signs) * (0.5, 0.7, 2.0))[list(order)]
        matrix[:3, 3] = 10, -20, 30
        found.append(matrix)
    return found


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "PIR"])
@pytest.mark.parametrize("affine", affines(), ids=lambda affine: str(affine[:3, :3].ravel().tolist()))
def test_it_is_monais_orientation_of_the_same_memory(affine: np.ndarray, axcodes: str) -> None:
    wanted, values = orientation(axcodes), np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    laid = room(SHAPE, affine, wanted)
    laid[...] = values
    array, moved = turned(laid, to_ras(affine), wanted)
    image = MetaTensor(values.transpose(2, 1, 0)[np.newaxis].copy(), affine=to_ras(affine))
    expected = Orientation(axcodes=axcodes, labels=None)(image)
    assert array.tolist() == expected[0].tolist()
    assert moved.tolist() == [pytest.approx(row) for row in expected.affine.numpy().tolist()]
    assert np.shares_memory(array, laid)
    assert min(array.strides) > 0
    copied, again = turned(values, to_ras(affine), wanted)
    assert copied.tolist() == array.tolist()
    assert again.tolist() == moved.tolist()


def test_without_axes_it_is_plain_memory() -> None:
    assert room(SHAPE, np.eye(4), None).flags.c_contiguous


@pytest.mark.parametrize("ready", [(4, 3, 5), (6, 3, 5)])
@pytest.mark.parametrize("axcodes", [None, "RAS"])
def test_memory_that_is_ready_is_taken(ready: tuple[int, int, int], axcodes: str | None) -> None:
    made = touched(ready)
    laid = room(SHAPE, np.eye(4), None if axcodes is None else orientation(axcodes), made)
    assert laid.shape == SHAPE
    assert np.shares_memory(laid, made)


@pytest.mark.parametrize("ready", [(3, 3, 5), (4, 5, 3), (9, 4, 5)])
def test_memory_of_another_size_is_left(ready: tuple[int, int, int]) -> None:
    made = touched(ready)
    laid = room(SHAPE, np.eye(4), None, made)
    assert laid.shape == SHAPE
    assert not np.shares_memory(laid, made)
