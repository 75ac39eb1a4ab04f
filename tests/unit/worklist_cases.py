"""Indexes of studies to test with: a database with the tables, rows of every kind, and what a search should find."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from hypothesis import strategies as st

from app.outcomes import State
from app.settings import Settings
from app.workflow_database import open_engine
from app.worklist_query import Cursor, Priority, Query, seconds_of
from app.worklist_rows import Names, Row, Shown, Told
from app.worklist_table import METADATA, TURN

NAMES = ("Doe^Jane", "Müller^Jörg", "O'Neil^<b>Pat</b>", "Yamada^Tarou=山田^太郎", "100%_sure^\\", "")
BUNDLES = ("head", "chest", "head-2")
KINDS = ("intracranial_hemorrhage", "pneumothorax", "lung_lesion")
DAY = 86400.0


def settings_in(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 0},
            "spool": {"folder": folder / "spool", "min_free_mb": 0},
            "results": folder / "results",
            "run": folder / "run",
            "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        }
    )


def with_tables(settings: Settings) -> sa.Engine:
    """The tables of the index alone: those of the workflow engine take a second to make."""
    engine = open_engine(settings.database)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(TURN).values(id=1, turn=0, whole=0))
    return engine


def key_of(study: int, revision: int = 0) -> str:
    return f"{study:032x}-{revision:016x}"


def a_row(number: int = 1, **changes: object) -> Row:
    row = Row(
        key=key_of(number),
        changed=1,
        urgent=0,
        received_at=float(number),
        state=State.DELIVERED,
        shown=Shown(3, (Told("pneumothorax", "present", 0.9, 0.5),)),
        names=Names(f"1.2.{number}", "CT", "Doe^Jane", f"P{number}", f"A{number}", "20261122", "Head"),
        finished_at=number + 2.5,
        bundles=("head",),
        findings=("pneumothorax",),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def rows() -> st.SearchStrategy[list[Row]]:
    """Some rows with few different values, so that filters find some and places tie."""
    names = st.builds(
        Names,
        study_uid=st.sampled_from(["1.2.3", "1.2.4", ""]),
        modality=st.sampled_from(["CT", "MR", "CR\\DX", ""]),
        patient_name=st.sampled_from(NAMES),
        patient_id=st.sampled_from(["P1", "p2 %", ""]),
        accession=st.sampled_from(["ACC-1", "ACC_1", ""]),
        study_date=st.sampled_from(["20261122", "20251231", ""]),
        description=st.sampled_from(["Head CT", "Thorax", "ẞtraße"]),
    )
    row = st.builds(
        Row,
        key=st.builds(key_of, st.integers(0, 40), st.integers(0, 2)),
        changed=st.just(1),
        urgent=st.integers(0, 1),
        received_at=st.sampled_from([0.0, 0.5, 1e-3, DAY, 2 * DAY, 1763800000.123456, 1763800000.1234562]),
        state=st.sampled_from(list(State)),
        shown=st.just(Shown(1)),
        names=names,
        finished_at=st.one_of(st.none(), st.just(5.0)),
        bundles=st.lists(st.sampled_from(BUNDLES), unique=True).map(lambda found: tuple(sorted(found))),
        findings=st.lists(st.sampled_from(KINDS), unique=True).map(lambda found: tuple(sorted(found))),
    )
    return st.lists(row, max_size=30, unique_by=lambda each: each.key)


def queries() -> st.SearchStrategy[Query]:
    days = st.sampled_from([None, *map(_day, (0, 1, 2, 20000))])
    texts = ("", "doe", "DOE jane", "%", "_", "'", "\\", "<b>", "acc", "20261122", "2026-11-22", "lung lesion", "1.2.3")
    return st.builds(
        Query,
        text=st.sampled_from([*texts, "山田", "strasse", "none at all"]),
        state=st.sampled_from([None, None, *State]),
        detector=st.sampled_from(["", "", *BUNDLES, "hea"]),
        priority=st.sampled_from([None, None, *Priority]),
        since=days,
        until=days,
    )


def _day(number: int):  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime.fromtimestamp(number * DAY, UTC).date()


def place(row: Row) -> tuple[int, float, str]:
    return row.urgent, row.received_at, row.key


def fits(row: Row, query: Query, *, state: bool = True, priority: bool = True) -> bool:
    """What a query finds, said slowly."""
    from app.study import uid_hash

    for term in query.terms:
        if term not in row.words and not ("." in term and uid_hash(term) == row.study):
            return False
    if query.detector and query.detector not in row.bundles:
        return False
    if query.since and row.received_at < seconds_of(query.since):
        return False
    if query.until and row.received_at >= seconds_of(query.until) + DAY:
        return False
    if state and query.state and row.state != query.state:
        return False
    return not (priority and query.priority and (query.priority is Priority.URGENT) != bool(row.urgent))


def expected(found: Sequence[Row], query: Query, size: int) -> list[Row]:
    """A page of a list, said slowly."""
    wanted = sorted((row for row in found if fits(row, query)), key=place, reverse=True)
    if query.before is not None:
        return [row for row in wanted if place(row) > _at(query.before)][-size:]
    if query.after is not None:
        return [row for row in wanted if place(row) < _at(query.after)][:size]
    return wanted[:size]


def _at(cursor: Cursor) -> tuple[int, float, str]:
    return cursor.urgent, cursor.received_at, cursor.key
