"""Living and dead workers, on both databases."""

import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from app.settings import Database
from app.workflow_database import Heartbeat, beats_of, open_engine
from app.workflow_migration import migrate

TAKEOVER_S = 0.3


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    migrate(Database(url=database_url))
    engine = open_engine(Database(url=database_url))
    yield engine
    engine.dispose()


def test_a_silent_worker_is_claimed_by_one_of_the_living(engine: sa.Engine) -> None:
    first, second, third = (Heartbeat(engine, name, TAKEOVER_S) for name in ("first", "second", "third"))
    for each in (first, second, third):
        each.beat()
    assert (second.claim_dead(), third.claim_dead()) == ((), ())
    time.sleep(TAKEOVER_S)
    second.beat()
    third.beat()
    assert (second.claim_dead(), third.claim_dead()) == (("first",), ())
    second.bury(["first"])
    assert sorted(beats_of(engine)) == ["second", "third"]


def test_a_claim_that_was_not_followed_can_be_claimed_again(engine: sa.Engine) -> None:
    dead, claimer, other = (Heartbeat(engine, name, TAKEOVER_S) for name in ("dead", "claimer", "other"))
    dead.beat()
    assert (claimer.claim_dead(), other.claim_dead()) == ((), ())
    time.sleep(TAKEOVER_S)
    assert claimer.claim_dead() == ("dead",)
    assert other.claim_dead() == ()
    time.sleep(TAKEOVER_S)
    assert other.claim_dead() == ("dead",)


def test_a_living_worker_is_never_claimed(engine: sa.Engine) -> None:
    first, second = (Heartbeat(engine, name, TAKEOVER_S) for name in ("first", "second"))
    for _ in range(6):
        first.beat()
        assert second.claim_dead() == ()
        time.sleep(TAKEOVER_S / 3)


def test_a_retired_worker_leaves_nothing_to_claim(engine: sa.Engine) -> None:
    first, second = (Heartbeat(engine, name, TAKEOVER_S) for name in ("first", "second"))
    first.beat()
    second.beat()
    second.claim_dead()
    first.retire()
    time.sleep(TAKEOVER_S)
    assert second.claim_dead() == ()


def test_before_the_database_is_set_up_there_are_no_beats(database_url: str) -> None:
    engine = open_engine(Database(url=database_url))
    assert beats_of(engine) == {}
    engine.dispose()
