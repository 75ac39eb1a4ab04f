"""Boxes of several readers become one list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.datalist.fusion import Fused, Mark, Merging, Method, merge
from bundles.common.datalist.problems import DatalistError

A = Mark("R1", (0, 0, 10, 10))
B = Mark("R2", (2, 0, 12, 10))
FAR = Mark("R3", (50, 50, 60, 60))


def test_weighted_means_what_overlaps_and_keeps_what_stands_alone() -> None:
    assert merge([A, B, FAR], 3, Merging()) == [Fused((1, 0, 11, 10), 2 / 3), Fused(FAR.edges, 1 / 3)]


def test_a_vote_drops_what_one_reader_saw() -> None:
    third = Mark("R3", (3, 0, 13, 10))
    assert merge([A, B, FAR], 3, Merging(Method.VOTE)) == [Fused((1, 0, 11, 10), 2 / 3)]
    assert merge([A, B, third], 3, Merging(Method.VOTE, votes=3)) == [Fused((2, 0, 12, 10), 1.0)]
    assert merge([FAR], 1, Merging(Method.VOTE)) == [Fused(FAR.edges, 1.0)]


def test_one_reader_who_draws_twice_is_one_vote() -> None:
    assert merge([A, Mark("R1", B.edges)], 3, Merging(Method.VOTE)) == []


def test_all_keeps_every_box() -> None:
    assert merge([B, A], 2, Merging(Method.ALL)) == [Fused(A.edges, 0.5), Fused(B.edges, 0.5)]


def test_a_higher_threshold_keeps_boxes_apart() -> None:
    assert len(merge([A, B], 2, Merging(overlap=0.7))) == 2


def test_settings_are_checked() -> None:
    with pytest.raises(DatalistError, match="overlap in 0…1"):
        Merging(overlap=0)
    with pytest.raises(DatalistError, match="from one vote on"):
        Merging(votes=0)


MARKS = st.builds(
    lambda reader, x, y, width, height: Mark(f"R{reader}", (x, y, x + width, y + height)),
    st.integers(1, 3),
    *[st.integers(0, 30)] * 2,
    *[st.integers(1, 20)] * 2,
)


@given(st.lists(MARKS, max_size=8), st.randoms(), st.sampled_from(Method))
def test_the_order_of_the_rows_does_not_matter(marks: list[Mark], random: object, method: Method) -> None:
    shuffled = list(marks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    fused = merge(marks, 3, Merging(method))
    assert fused == merge(shuffled, 3, Merging(method))
    for box in fused:
        assert min(m.edges[0] for m in marks) <= box.edges[0] < box.edges[2] <= max(m.edges[2] for m in marks)
        assert 0 < box.share <= 1
