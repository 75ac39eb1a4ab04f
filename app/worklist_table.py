"""The tables of the index of studies, on SQLite and PostgreSQL: rows in, rows out; see `app.worklist`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.study import uid_hash
from app.worklist_query import Cursor, Priority, Query, seconds_of
from app.worklist_rows import Names, Row, Shown

METADATA = sa.MetaData()
WORKLIST = sa.Table(
    "vigil_worklist",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("study", sa.String(32), nullable=False, index=True),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("urgent", sa.SmallInteger, nullable=False),
    sa.Column("received_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("superseded_by", sa.String(64), nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("bundles", sa.Text, nullable=False),
    sa.Column("findings", sa.Text, nullable=False),
    sa.Column("study_uid", sa.Text, nullable=False, index=True),
    sa.Column("study_date", sa.String(8), nullable=False),
    sa.Column("accession", sa.Text, nullable=False),
    sa.Column("patient_id", sa.Text, nullable=False),
    sa.Column("patient_name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Index("vigil_worklist_order", "urgent", "received_at", "key"),
    sa.Index("vigil_worklist_states", "state", "urgent", "received_at", "key"),
    sa.Index("vigil_worklist_changes", "changed", "key"),
)
SHOWN = sa.Table(
    "vigil_worklist_shown",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("shown", sa.Text, nullable=False),
)
"""Apart from what is searched, so that looking through all rows reads no more than it must."""
TOLD = sa.Table(
    "vigil_worklist_told",
    METADATA,
    sa.Column("study", sa.String(32), primary_key=True),
    sa.Column("stamp", sa.String(96), nullable=False),
    sa.Column("told", sa.Text, nullable=False),
)
"""What a search by DICOMweb tells of a study: see `app.worklist_told`."""
TURN = sa.Table(
    "vigil_worklist_turn",
    METADATA,
    sa.Column("id", sa.SmallInteger, primary_key=True),
    sa.Column("turn", sa.BigInteger, nullable=False),
    sa.Column("whole", sa.SmallInteger, nullable=False),
)
"""One row: how often the index has changed, and whether it was ever filled as a whole."""

MOST_KEYS = 400
"""In one statement: SQLite takes 32766 values."""
MOST_HITS = 5000
"""Of a search by words, to be sorted and counted here."""
_ORDER = (WORKLIST.c.urgent, WORKLIST.c.received_at, WORKLIST.c.key)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the worklist.

    Attributes:
        rows: In order: urgent first, then the newest.
        newer, older: Where the pages before and after begin; None where there is none.
        states: Number of studies in each state, under every filter but that of the state.
        priorities: Number of urgent and of other studies, under every filter but that of the priority.
        total: Number of studies under all filters.
    """

    rows: tuple[Row, ...]
    newer: Cursor | None
    older: Cursor | None
    states: Mapping[str, int]
    priorities: Mapping[str, int]
    total: int


def place_of(row: Row) -> Cursor:
    """Where a row stands in the order."""
    return Cursor(row.urgent, row.received_at, row.key)


def listing(connection: sa.Connection, query: Query, size: int, most_hits: int = MOST_HITS) -> Listing:
    """The rows that a query finds, `size` at most, and counts.

    What is looked for in words is looked for in one run through all rows where it is rare; where it is frequent, a page
    is soon full in the order of the list, and the counts are a run of their own.
    """
    hits = _hits(connection, query, most_hits) if query.terms or query.detector else None
    if hits is None:
        keys, further = _window(connection, query, size)
        counts = _counts(connection, query)
    else:
        keys, further = _window_of(hits, query, size)
        counts = Counter((state, place.urgent) for place, state in hits)
    rows = _rows(connection, keys)
    newer = (query.after is not None) if query.before is None else further
    older = further if query.before is None else True
    return Listing(
        rows=rows,
        newer=place_of(rows[0]) if rows and newer else None,
        older=place_of(rows[-1]) if rows and older else None,
        **_facet_counts(counts, query),
    )


def _facet_counts(counts: Mapping[tuple[str, int], int], query: Query) -> dict[str, Any]:
    states: Counter[str] = Counter()
    priorities: Counter[str] = Counter()
    for (state, urgent), number in counts.items():
        priority = Priority.URGENT if urgent else Priority.ROUTINE
        if query.priority in {None, priority}:
            states[state] += number
        if query.state in {None, state}:
            priorities[priority] += number
    total = sum(number for state, number in states.items() if query.state in {None, state})
    return {"states": states, "priorities": priorities, "total": total}


def _hits(connection: sa.Connection, query: Query, most: int) -> list[tuple[Cursor, str]] | None:
    """Place and state of everything that is found under the filters that are not counted; None where it is more."""
    columns = (*_ORDER, WORKLIST.c.state)
    found = connection.execute(sa.select(*columns).where(*_conditions(connection, query)).limit(most + 1)).all()
    return None if len(found) > most else [(Cursor(urgent, at, key), state) for urgent, at, key, state in found]


def _window_of(hits: Sequence[tuple[Cursor, str]], query: Query, size: int) -> tuple[list[str], bool]:
    """As `_window`, of hits."""
    wanted = [
        place
        for place, state in hits
        if query.state in {None, state}
        and (query.priority is None or (query.priority is Priority.URGENT) == bool(place.urgent))
        and (query.after is None or place < query.after)
        and (query.before is None or place > query.before)
    ]
    backwards = query.before is not None
    keys = [place.key for place in sorted(wanted, reverse=not backwards)[: size + 1]]
    rows = keys[:size]
    return (rows[::-1] if backwards else rows), len(keys) > size


def _window(connection: sa.Connection, query: Query, size: int) -> tuple[list[str], bool]:
    """Keys of a page in order, and whether there are more in the direction that it was read in."""
    wanted = [*_conditions(connection, query), *_facets(query)]
    backwards = query.before is not None
    place = query.before or query.after
    if place is not None:
        at = sa.tuple_(sa.literal(place.urgent), sa.literal(place.received_at, sa.Double), sa.literal(place.key))
        wanted.append(sa.tuple_(*_ORDER) > at if backwards else sa.tuple_(*_ORDER) < at)
    order = [column.asc() if backwards else column.desc() for column in _ORDER]
    found = connection.scalars(sa.select(WORKLIST.c.key).where(*wanted).order_by(*order).limit(size + 1)).all()
    keys = list(found[:size])
    return (keys[::-1] if backwards else keys), len(found) > size


def _counts(connection: sa.Connection, query: Query) -> Mapping[tuple[str, int], int]:
    state: sa.ColumnElement[str] = WORKLIST.c.state
    urgent: sa.ColumnElement[int] = WORKLIST.c.urgent
    if query.terms or query.detector:
        # Rows have to be read anyway: not in the order of an index, which would fetch each from another place.
        state, urgent = sa.func.coalesce(state, state), sa.func.coalesce(urgent, urgent)
    counted = sa.select(state, urgent, sa.func.count()).where(*_conditions(connection, query)).group_by(state, urgent)
    return {(each[0], each[1]): each[2] for each in connection.execute(counted)}


def _facets(query: Query) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if query.state is not None:
        wanted.append(WORKLIST.c.state == query.state)
    if query.priority is not None:
        wanted.append(WORKLIST.c.urgent == int(query.priority is Priority.URGENT))
    return wanted


def _conditions(connection: sa.Connection, query: Query) -> list[sa.ColumnElement[bool]]:
    """All filters but those that are counted one by one."""
    # Not LIKE: what is looked for may hold its signs, and this is faster.
    within = sa.func.instr if connection.dialect.name == "sqlite" else sa.func.strpos
    wanted: list[sa.ColumnElement[bool]] = []
    for term in query.terms:
        found = within(WORKLIST.c.words, term) > 0
        wanted.append(found | (WORKLIST.c.study == uid_hash(term)) if "." in term else found)
    if query.detector:
        wanted.append(within(WORKLIST.c.bundles, f" {query.detector} ") > 0)
    if query.since is not None:
        wanted.append(WORKLIST.c.received_at >= seconds_of(query.since))
    if query.until is not None:
        wanted.append(WORKLIST.c.received_at < seconds_of(query.until) + timedelta(days=1).total_seconds())
    return wanted


def _rows(connection: sa.Connection, keys: Sequence[str]) -> tuple[Row, ...]:
    """In the order of the keys; without those that are gone meanwhile."""
    joined = sa.select(WORKLIST, SHOWN.c.shown).join(SHOWN, SHOWN.c.key == WORKLIST.c.key)
    rows = connection.execute(joined.where(WORKLIST.c.key.in_(keys)))
    found = {each.key: _row(each, Shown.of(each.shown)) for each in rows}
    return tuple(found[key] for key in keys if key in found)


def _row(found: Any, shown: Shown) -> Row:
    names = Names(**{name: getattr(found, name) for name in Names.__dataclass_fields__})
    return Row(
        key=found.key,
        changed=found.changed,
        urgent=found.urgent,
        received_at=found.received_at,
        finished_at=found.finished_at,
        state=found.state,
        superseded_by=found.superseded_by,
        names=names,
        bundles=tuple(found.bundles.split()),
        findings=tuple(found.findings.split()),
        shown=shown,
    )


def _values(row: Row) -> dict[str, object]:
    return {
        "key": row.key,
        "study": row.study,
        "changed": row.changed,
        "urgent": row.urgent,
        "received_at": row.received_at,
        "finished_at": row.finished_at,
        "state": row.state,
        "superseded_by": row.superseded_by,
        "bundles": f" {' '.join(row.bundles)} ",
        "findings": f" {' '.join(row.findings)} ",
        "words": row.words,
        **{name: getattr(row.names, name) for name in Names.__dataclass_fields__},
    }


def put(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Enter rows, or change them; one that is older than what stands there changes nothing."""
    if not rows:
        return
    insert: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    entered = insert(WORKLIST)
    others = {column.name: entered.excluded[column.name] for column in WORKLIST.columns if column.name != "key"}
    newer = entered.excluded.changed >= WORKLIST.c.changed
    connection.execute(
        entered.on_conflict_do_update(index_elements=["key"], set_=others, where=newer), [_values(row) for row in rows]
    )
    shown = insert(SHOWN)
    connection.execute(
        shown.on_conflict_do_update(index_elements=["key"], set_={"shown": shown.excluded.shown}),
        [{"key": row.key, "shown": row.shown.text()} for row in rows],
    )
    advance(connection)


def remove(connection: sa.Connection, keys: Sequence[str]) -> int:
    """Remove rows; returns how many there were."""
    gone = 0
    for start in range(0, len(keys), MOST_KEYS):
        some = keys[start : start + MOST_KEYS]
        gone += connection.execute(sa.delete(WORKLIST).where(WORKLIST.c.key.in_(some))).rowcount
        connection.execute(sa.delete(SHOWN).where(SHOWN.c.key.in_(some)))
        connection.execute(sa.delete(TOLD).where(TOLD.c.study.in_({key.partition("-")[0] for key in some})))
    if gone:
        advance(connection)
    return gone


def advance(connection: sa.Connection, *, whole: bool = False) -> None:
    """Count a change; `whole`: everything there is has been entered once."""
    values: dict[str, Any] = {"turn": TURN.c.turn + 1} | ({"whole": 1} if whole else {})
    connection.execute(sa.update(TURN).values(values))


def turn(connection: sa.Connection) -> tuple[int, bool]:
    """How often the index has changed, and whether it was ever filled as a whole."""
    found = connection.execute(sa.select(TURN.c.turn, TURN.c.whole)).one()
    return found.turn, bool(found.whole)


def known(connection: sa.Connection) -> Mapping[str, int]:
    """`Row.changed` of every row, by key."""
    found = connection.execute(sa.select(WORKLIST.c.key, WORKLIST.c.changed))
    return {each.key: each.changed for each in found}


def ending(connection: sa.Connection, end: str) -> Sequence[str]:
    """Keys that end so; reads every key."""
    return connection.scalars(sa.select(WORKLIST.c.key).where(WORKLIST.c.key.endswith(end, autoescape=True))).all()


def rows_of_study(connection: sa.Connection, study: str) -> tuple[Row, ...]:
    """Every revision of a study, by the hash of its UID."""
    of_study = sa.select(WORKLIST.c.key).where(WORKLIST.c.study == study).order_by(WORKLIST.c.key)
    return _rows(connection, connection.scalars(of_study).all())


def detectors(connection: sa.Connection) -> tuple[str, ...]:
    """Names of the bundles that any study was routed to, sorted."""
    found = connection.execute(sa.select(WORKLIST.c.bundles).distinct())
    return tuple(sorted({name for (names,) in found for name in names.split()}))
