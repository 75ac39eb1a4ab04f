"""When a study counts as complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assemble import is_complete
from app.study import Arrival


@pytest.mark.parametrize(
    ("now", "open_associations", "complete"),
    [
        (115.0, 0, False),
        (120.0, 0, True),
        (130.0, 1, False),
        (199.9, 3, False),
        (200.0, 3, True),
        (-50.0, 0, True),  # the clock was set back by more than the cap
        (105.0, 0, False),
    ],
)
def test_idle_then_cap(now: float, open_associations: int, complete: bool) -> None:
    arrival = Arrival("key", first_received=100.0, last_received=110.0, open_associations=open_associations)
    assert is_complete(arrival, idle_s=10, interrupted_s=50, cap_s=100, now=now) is complete


def test_no_idle_time_asks_for_closed_associations_alone() -> None:
    assert is_complete(Arrival("key", 100.0, 110.0, 0), 0, 50, 100, 110.0)
    assert not is_complete(Arrival("key", 100.0, 110.0, 1), 0, 50, 100, 110.0)


@pytest.mark.parametrize(
    ("now", "open_associations", "complete"),
    [(120.0, 0, False), (159.9, 0, False), (160.0, 0, True), (160.0, 1, False), (200.0, 1, True)],
)
def test_a_sender_that_broke_off_gets_time_to_come_back(now: float, open_associations: int, complete: bool) -> None:
    arrival = Arrival("key", 100.0, 110.0, open_associations, interrupted=True)
    assert is_complete(arrival, idle_s=10, interrupted_s=50, cap_s=100, now=now) is complete


def test_the_longer_of_both_times_counts() -> None:
    arrival = Arrival("key", 100.0, 110.0, 0, interrupted=True)
    assert not is_complete(arrival, idle_s=30, interrupted_s=5, cap_s=100, now=139.0)
    assert is_complete(arrival, idle_s=30, interrupted_s=5, cap_s=100, now=140.0)


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.integers(0, 3), st.floats(0, 1e4), st.floats(0.1, 1e4), st.booleans())
def test_every_study_completes_at_the_cap(  # noqa: PLR0917
    first: float, length: float, count: int, idle: float, cap: float, interrupted: bool
) -> None:
    arrival = Arrival("key", first, first + length, count, interrupted)
    assert is_complete(arrival, idle, 1e9, cap, first + cap + 1)
