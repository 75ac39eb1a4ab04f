"""Searches of the index against a slow reference: filters, order, pages, counts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.worklist_query import Priority, Query, query_of
from app.worklist_rows import Row
from app.worklist_table import MOST_HITS, WORKLIST, detectors, listing, put, remove, rows_of_study, turn
from tests.unit.worklist_cases import a_row, expected, fits, key_of, place, queries, rows, settings_in, with_tables


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = with_tables(settings_in(tmp_path))
    yield made
    made.dispose()


def fill(engine: sa.Engine, found: list[Row]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(WORKLIST))
        put(connection, found)


@given(rows(), queries(), st.integers(1, 7), st.sampled_from([0, 2, MOST_HITS]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_every_page_is_what_the_slow_reference_says(
    engine: sa.Engine, found: list[Row], query: Query, size: int, most: int
) -> None:
    fill(engine, found)
    with engine.connect() as connection:
        page = listing(connection, query, size, most)
        assert list(page.rows) == expected(found, query, size)
        assert page.total == sum(fits(row, query) for row in found)
        assert Counter(page.states) == Counter(row.state for row in found if fits(row, query, state=False))
        priorities = (
            Priority.URGENT if row.urgent else Priority.ROUTINE for row in found if fits(row, query, priority=False)
        )
        assert Counter(page.priorities) == Counter(priorities)


@given(rows(), queries(), st.integers(1, 7), st.sampled_from([0, MOST_HITS]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_turning_pages_shows_each_study_once_there_and_back(
    engine: sa.Engine, found: list[Row], query: Query, size: int, most: int
) -> None:
    """Also through the words of an address."""
    fill(engine, found)
    everything = expected(found, query, len(found) + 1)
    with engine.connect() as connection:
        seen, at, last = [], query, query
        for _ in range(len(found) + 1):
            page = listing(connection, at, size, most)
            assert (page.newer is None) == (not seen)
            seen += page.rows
            last = at
            if page.older is None:
                break
            at = replace(query, after=page.older)
        assert seen == everything
        back, page = list(listing(connection, last, size, most).rows), listing(connection, last, size, most)
        for _ in range(len(found) + 1):
            if page.newer is None:
                break
            at = replace(query, before=page.newer)
            page = listing(connection, at, size, most)
            assert page.older is not None
            back = [*page.rows, *back]
        assert back == everything


@given(rows(), st.integers(0, 10))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_what_comes_meanwhile_moves_no_page(engine: sa.Engine, found: list[Row], size: int) -> None:
    """A page begins behind a study, not behind a number of studies."""
    fill(engine, found)
    with engine.begin() as connection:
        first = listing(connection, Query(), size + 1)
        if first.older is None:
            return
        newest = a_row(99, key=key_of(99), urgent=1, received_at=1e12)
        put(connection, [newest])
        then = listing(connection, Query(after=first.older), 100)
    assert list(then.rows) == sorted(found, key=place, reverse=True)[size + 1 :]


def test_an_older_state_of_a_study_changes_nothing(engine: sa.Engine) -> None:
    row = a_row(1, changed=5)
    with engine.begin() as connection:
        put(connection, [row])
        put(connection, [replace(row, changed=4, state="failed")])
        assert listing(connection, Query(), 9).rows[0].state == "delivered"
        put(connection, [replace(row, changed=6, state="failed")])
        assert listing(connection, Query(), 9).rows[0].state == "failed"


def test_every_change_counts_and_what_is_not_there_does_not(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        assert turn(connection) == (0, False)
        put(connection, [])
        assert remove(connection, [key_of(1)]) == 0
        assert turn(connection) == (0, False)
        put(connection, [a_row(number) for number in range(1000)])
        assert turn(connection) == (1, False)
        assert remove(connection, [key_of(number) for number in range(999)]) == 999
        assert turn(connection) == (2, False)
        assert [row.key for row in listing(connection, Query(), 9).rows] == [key_of(999)]


def test_knows_the_revisions_of_a_study_and_the_detectors(engine: sa.Engine) -> None:
    both = [a_row(1, key=key_of(7, revision), bundles=("head", "chest")) for revision in range(2)]
    with engine.begin() as connection:
        put(connection, [*both, a_row(8, bundles=())])
        assert sorted(row.key for row in rows_of_study(connection, f"{7:032x}")) == [row.key for row in both]
        assert detectors(connection) == ("chest", "head")


@given(queries())
def test_the_words_of_an_address_say_the_same(query: Query) -> None:
    from urllib.parse import parse_qsl

    if query.since and query.until and query.since > query.until:
        return
    assert query_of(parse_qsl(query.address()[1:])) == query
