"""A box said from a location is the same box; locations lie where the network looks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundles.chest_radiograph.scripts.grid import STRIDES, centreness, decode, encode, grid_of
from tests.unit.bundles.chest_radiograph import reference

# Sums of multiples of 1/16 below 2**18 are exact in float32.
place = st.integers(-100_000, 100_000).map(lambda number: number / 16)


@given(point=st.tuples(place, place), box=st.tuples(place, place, place, place))
def test_a_decoded_box_is_the_encoded_one(point: tuple[float, ...], box: tuple[float, ...]) -> None:
    at, boxes = torch.tensor([point]), torch.tensor([box])
    assert torch.equal(decode(at, encode(at, boxes)), boxes)


@given(point=st.tuples(place, place), distances=st.tuples(place, place, place, place))
def test_encoded_distances_are_the_decoded_ones(point: tuple[float, ...], distances: tuple[float, ...]) -> None:
    at, sides = torch.tensor([point]), torch.tensor([distances])
    assert torch.equal(encode(at, decode(at, sides)), sides)


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (100, 37), (1, 1)])
def test_locations_are_the_middles_of_the_cells(size: tuple[int, int]) -> None:
    grid = grid_of(*size)
    expected = reference.points(*size)
    assert grid.points.tolist() == [[x, y] for x, y, _ in expected]
    assert grid.levels.tolist() == [level for _, _, level in expected]
    assert grid.strides.tolist() == [STRIDES[level] for _, _, level in expected]


def test_centreness_falls_from_the_middle_to_the_sides() -> None:
    distances = torch.tensor([[5.0, 3, 5, 3], [1, 2, 9, 4], [0, 2, 9, 4]])
    expected = [1.0, reference.centreness(1, 2, 9, 4), 0.0]
    torch.testing.assert_close(centreness(distances), torch.tensor(expected))
