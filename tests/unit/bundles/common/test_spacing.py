"""Gaps between slices, told in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.geometry import StackGeometry
from bundles.common.spacing import Block, blocks, spacing_problem


def stack(gaps: list[float]) -> StackGeometry:
    origins = tuple((0.0, 0.0, float(place)) for place in np.cumsum([0.0, *gaps]))
    return StackGeometry(6, 8, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5), origins, "axial")


EVEN = [5.0] * 10
TWO_BLOCKS = [4.0] * 13 + [1.08] + [7.0] * 13


@pytest.mark.parametrize(
    ("gaps", "allow", "problem"),
    [
        ([], False, None),
        (EVEN, False, None),
        ([5.004, 4.996] * 5, False, None),
        (
            [*EVEN[:4], 10.0, *EVEN[5:]],
            False,
            "slice 6 of 11 lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing",
        ),
        (
            [*EVEN[:4], 10.0, *EVEN[5:]],
            True,
            "slice 6 of 11 lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing",
        ),
        (
            [*EVEN[:4], 10.0, 10.0, *EVEN[6:]],
            True,
            "slice 6 of 11 lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing",
        ),
        (
            [*EVEN, 20.0],
            True,
            "slice 12 of 12 lies 20.0 mm from its neighbour, expected 5.0 mm: 3 slices are missing",
        ),
        (
            [*EVEN, 6.5],
            True,
            "slice 12 of 12 lies 6.5 mm from its neighbour, expected 5.0 mm: the gap is too wide",
        ),
        (TWO_BLOCKS, True, None),
        (TWO_BLOCKS, False, "slice 15 of 28 lies 1.1 mm from its neighbour, expected 4.0 mm: the spacing varies"),
        (
            [*TWO_BLOCKS[:20], 14.0, *TWO_BLOCKS[20:]],
            True,
            "slice 22 of 29 lies 14.0 mm from its neighbour, expected 7.0 mm: a slice is missing",
        ),
        (
            [*TWO_BLOCKS[:13], 9.0, *TWO_BLOCKS[14:]],
            True,
            "slice 15 of 28 lies 9.0 mm from its neighbour, expected 7.0 mm: the gap is too wide",
        ),
        ([5.0, 10.0, 5.0], True, "slice 3 of 4 lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing"),
        ([5.0, 0.001, 5.0], True, "slice 3 of 4 lies at the same position as the slice before it"),
    ],
)
def test_problem(gaps: list[float], allow: bool, problem: str | None) -> None:
    assert spacing_problem(stack(gaps), 0.1, allow) == problem


def test_instance_numbers_are_told_where_known() -> None:
    problem = spacing_problem(stack([5.0, 5.0, 5.0, 10.0]), 0.1, False, (1, 2, 3, 4, 6))
    assert problem == (
        "slice 5 of 5 (instance number 6) lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing"
    )


def test_blocks() -> None:
    assert blocks(TWO_BLOCKS, 0.1) == (Block(0, 13, 4.0), Block(14, 27, 7.0))


@given(st.floats(0.5, 10), st.integers(6, 40), st.data())
def test_a_missing_inner_slice_is_always_found(spacing: float, count: int, data: st.DataObject) -> None:
    gone = data.draw(st.integers(1, count - 2))
    places = [spacing * place for place in range(count) if place != gone]
    problem = spacing_problem(stack(list(np.diff(places))), 0.1, data.draw(st.booleans()))
    assert problem is not None
    assert problem.startswith(f"slice {gone + 1} of {count - 1} lies")
    assert problem.endswith("a slice is missing")


@given(st.floats(0.5, 10), st.integers(2, 40), st.floats(0, 0.04))
def test_even_stacks_pass(spacing: float, count: int, jitter: float) -> None:
    gaps = [spacing * (1 + jitter * (-1) ** place) for place in range(count - 1)]
    assert spacing_problem(stack(gaps), 0.1, False) is None
