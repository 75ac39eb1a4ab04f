"""The words of an address: read, or refused in words; never an error of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Rejected
from app.worklist_query import NAMES, Cursor, Query, query_of

KEY = "0" * 32 + "-" + "1" * 16


@pytest.mark.parametrize(
    ("given_words", "said"),
    [
        ([("state", "dead")], "state is one of received, processing"),
        ([("priority", "high")], "priority is one of urgent, routine"),
        ([("detector", "../etc")], "detector is no name"),
        ([("since", "yesterday")], "since is no day; write it as 2026-11-22"),
        ([("until", "2026-02-30")], "until is no day"),
        ([("since", "0001-01-01")], "since is no day"),
        ([("until", "9999-12-31")], "until is no day"),
        ([("since", "٢٠٢٦-11-22")], "since is no day"),
        ([("since", "2026-11-23"), ("until", "2026-11-22")], "lies after until"),
        ([("q", "a" * 201)], "q is longer than 200"),
        ([("q", "a\0b")], "no text"),
        ([("q", "a\udc80b")], "no text"),
        ([("q", "a b c d e f g h i")], "more than 8 words"),
        ([("q", "a"), ("q", "b")], "q stands twice"),
        ([("after", "1~2~3")], "after is no place"),
        ([("after", f"2~1.0~{KEY}")], "after is no place"),
        ([("after", f"1~nan~{KEY}")], "after is no place"),
        ([("before", f"1~1e400~{KEY}")], "before is no place"),
        ([("after", f"1~1.0~{KEY}"), ("before", f"1~1.0~{KEY}")], "cannot stand together"),
        ([("stat", "failed")], "did you mean state?"),
        ([("<script>", "")], "known are q, state"),
    ],
)
def test_refuses_what_says_nothing(given_words: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(Rejected) as refused:
        query_of(given_words)
    assert said in str(refused.value)
    assert "<" not in str(refused.value)


def test_empty_words_are_left_out() -> None:
    assert query_of([(name, " ") for name in NAMES]) == Query()


@given(st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), st.text(max_size=12)), st.text(max_size=80)), max_size=6))
def test_anything_is_read_or_refused_in_words(given_words: list[tuple[str, str]]) -> None:
    try:
        found = query_of(given_words)
    except Rejected as error:
        assert str(error)
    else:
        assert query_of([(n, v) for n, v in _pairs(found)]) == found


@given(st.integers(0, 1), st.floats(0, 4e11))
def test_a_place_comes_back_exactly(urgent: int, received_at: float) -> None:
    place = Cursor(urgent, received_at, KEY)
    assert Cursor.of(place.text(), "after") == place


def _pairs(query: Query) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(query.address(after=query.after, before=query.before)[1:])
