"""A destination that fails again and again is left alone; one document at a time asks whether it is back."""

from pathlib import Path

import pytest

from app.breakers import Breakers, file_of, left_alone
from app.destinations import DicomDestination
from app.errors import Failed, Rejected, Retryable

PACS = DicomDestination(name="pacs", host="h", port=1, ae_title="PACS", backoff_s=1, breaker_after=3, timeout_s=10)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock=clock)


def try_it(breakers: Breakers, error: Exception | None = None, *, urgent: bool = False) -> float:
    """Seconds to wait; 0 where it was tried, which ended as told."""
    try:
        with breakers.passage(PACS, urgent=urgent) as wait_s:
            if not wait_s and error is not None:
                raise error
            return wait_s
    except (Retryable, Rejected, Failed):
        return 0.0


def test_who_goes_before_the_pause_is_over_is_told(breakers: Breakers, clock: Clock) -> None:
    assert not breakers.pauses(PACS)
    for _ in range(3):
        try_it(breakers, Retryable("down"))
    assert breakers.pauses(PACS)
    clock.now += 4
    assert not breakers.pauses(PACS)  # the next is a probe like any other


def test_so_many_failures_in_a_row_open_it(breakers: Breakers, clock: Clock) -> None:
    for _ in range(3):
        assert try_it(breakers, Retryable("down")) == 0
    assert try_it(breakers) == 4  # 1 s, doubled twice: what a document alone would wait by now
    clock.now += 4
    assert try_it(breakers, Retryable("down")) == 0
    assert try_it(breakers) == 8
    clock.now += 8
    assert try_it(breakers) == 0
    assert [try_it(breakers) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("answer", [None, Rejected("no such class")])
def test_an_answer_between_failures_begins_the_count_anew(breakers: Breakers, answer: Exception | None) -> None:
    for error in (Retryable("down"), Retryable("down"), answer, Retryable("down"), Retryable("down")):
        try_it(breakers, error)
    assert breakers.left_alone() == ()


def test_what_breaks_on_our_side_says_nothing_of_the_destination(breakers: Breakers) -> None:
    for error in (Retryable("down"), Failed("ours"), Retryable("down"), Failed("ours"), Retryable("down")):
        try_it(breakers, error)
    assert [each.destination for each in breakers.left_alone()] == ["pacs"]


def test_one_probe_at_a_time(breakers: Breakers, clock: Clock) -> None:
    for _ in range(3):
        try_it(breakers, Retryable("down"))
    clock.now += 4
    with breakers.passage(PACS, urgent=False) as first:
        assert first == 0
        assert try_it(breakers) == 5  # half the time-out: by then the probe may be over
        assert try_it(breakers, urgent=True) == 5
    assert try_it(breakers) == 0


def test_an_urgent_document_may_be_the_probe_before_its_time(breakers: Breakers, clock: Clock) -> None:
    for _ in range(3):
        try_it(breakers, Retryable("down"))
    clock.now += 1
    assert try_it(breakers, Retryable("down"), urgent=True) == 0
    assert try_it(breakers) == 3  # the pause is no longer for that
    assert try_it(breakers, urgent=True) == 0
    assert breakers.left_alone() == ()


def test_deliveries_that_were_under_way_when_it_opened_do_not_lengthen_the_pause(breakers: Breakers) -> None:
    for _ in range(2):
        try_it(breakers, Retryable("down"))

    def overlapping() -> None:
        with breakers.passage(PACS, urgent=False):
            try_it(breakers, Retryable("down"))
            raise Retryable("down as well")

    with pytest.raises(Retryable):
        overlapping()
    assert try_it(breakers) == 4


def test_the_pause_has_an_end(breakers: Breakers, clock: Clock) -> None:
    for _ in range(30):
        try_it(breakers, Retryable("down"))
        clock.now += 300
    try_it(breakers, Retryable("down"))
    assert try_it(breakers) == 300


def test_it_is_told_and_can_be_seen_from_outside(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    breakers = Breakers(file_of(tmp_path, "w1"), lambda name, alone: told.append((name, alone)))
    assert left_alone(tmp_path) == ()
    for _ in range(3):
        try_it(breakers, Retryable("down"))
    ((name, failures),) = [(each.destination, each.failures) for each in left_alone(tmp_path)]
    assert (name, failures) == ("pacs", 3)
    (tmp_path / "left-alone" / "w2.json").write_text("half a f")
    assert len(left_alone(tmp_path)) == 1
    try_it(breakers, urgent=True)
    assert left_alone(tmp_path) == ()
    assert told == [("pacs", True), ("pacs", False)]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "left-alone").write_text("a file")
    breakers = Breakers(file_of(tmp_path, "w1"))
    for _ in range(3):
        assert try_it(breakers, Retryable("down")) == 0
    assert try_it(breakers) > 0
