from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.web import LONGEST_WAIT_S, Answer, retry_after_s

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 0),
        ("120", 120),
        ("0.5", 0.5),
        ("-3", 0),
        ("1e9", LONGEST_WAIT_S),
        ("inf", 0),
        ("nan", 0),
        ("soon", 0),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 11:59:00 GMT", 0),
        ("Sun, 22 Nov 2026 12:01:00 -0000", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str, seconds: float) -> None:
    assert retry_after_s(said, NOW) == seconds


@given(st.text())
def test_whatever_is_said_the_pause_is_bounded(said: str) -> None:
    assert 0 <= retry_after_s(said, NOW) <= LONGEST_WAIT_S


@pytest.mark.parametrize(("status", "words"), [(200, "200 OK"), (409, "409 Conflict"), (299, "status 299")])
def test_a_status_is_told_in_words_of_the_standard(status: int, words: str) -> None:
    assert str(Answer(status, "", 0, b"")) == words
