"""The workflow database: how DBOS is set up on SQLite and PostgreSQL, and the heartbeats of the workers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.settings import Database, Settings

log = structlog.get_logger()

APPLICATION = "vigil"
VERSION = "5"
"""Names the steps of the workflows. Recovery resumes only workflows of the same version: bump it when steps change, and
let the old worker finish first."""

_WORKERS = sa.Table(
    "vigil_workers",
    sa.MetaData(),
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("beats", sa.BigInteger, nullable=False),
)


def open_engine(database: Database) -> sa.Engine:
    """Connect to the workflow database.

    SQLite runs with a write-ahead log that is synced at checkpoints: a killed process loses nothing; a power cut may
    lose the last moments, which are then done again from the spool, with the same result UIDs. Writers take their lock
    at once (BEGIN IMMEDIATE) and wait for each other.
    """
    url = sa.make_url(database.url)
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_size=20, pool_pre_ping=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=20, max_overflow=10)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def configuration(settings: Settings, engine: sa.Engine) -> DBOSConfig:
    """Configure DBOS: our engine, a stable executor, our version, nothing sent anywhere."""
    return {
        "name": APPLICATION,
        "system_database_url": engine.url.render_as_string(hide_password=False),
        "system_database_engine": engine,
        "executor_id": settings.worker.id,
        "application_version": VERSION,
        "use_listen_notify": False,
        "log_level": "WARNING",
    }


@dataclass
class Heartbeat:
    """A row a worker: counting on means living. Times are taken on the observer's own clock, so that clocks of
    different hosts need not agree.

    Attributes:
        engine: The workflow database.
        worker: Our id.
        takeover_s: Silence after which another worker counts as dead.
    """

    engine: sa.Engine
    worker: str
    takeover_s: float
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        _WORKERS.metadata.create_all(self.engine)

    def beat(self) -> None:
        """Tell the others that we live."""
        with self.engine.begin() as connection:
            mine = _WORKERS.c.id == self.worker
            counted = connection.execute(sa.update(_WORKERS).where(mine).values(beats=_WORKERS.c.beats + 1))
            if not counted.rowcount:
                connection.execute(sa.insert(_WORKERS).values(id=self.worker, beats=1))

    def retire(self) -> None:
        """Leave nothing to take over."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_WORKERS).where(_WORKERS.c.id == self.worker))

    def claim_dead(self) -> tuple[str, ...]:
        """Find workers that fell silent and claim them, so that only one of the living takes over.

        A claim counts as a beat: if the claimer dies before it is done, another may claim in turn.
        """
        now = time.monotonic()
        with self.engine.begin() as connection:
            others = connection.execute(sa.select(_WORKERS).where(_WORKERS.c.id != self.worker)).all()
        claimed = []
        for worker, beats in others:
            known, since = self._seen.get(worker, (-1, now))
            if known != beats:
                self._seen[worker] = (beats, now)
            elif now - since >= self.takeover_s and self._claim(worker, beats):
                claimed.append(worker)
        return tuple(claimed)

    def bury(self, workers: Sequence[str]) -> None:
        """Forget claimed workers whose work is resumed; one that comes back simply beats again."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_WORKERS).where(_WORKERS.c.id.in_(workers)))

    def _claim(self, worker: str, beats: int) -> bool:
        unchanged = (_WORKERS.c.id == worker) & (_WORKERS.c.beats == beats)
        with self.engine.begin() as connection:
            return bool(connection.execute(sa.update(_WORKERS).where(unchanged).values(beats=beats + 1)).rowcount)


def beats_of(engine: sa.Engine) -> Mapping[str, int]:
    """How often each worker has beaten: a count that goes on is a worker that lives. Empty before the first one ran."""
    if not sa.inspect(engine).has_table(_WORKERS.name):
        return {}
    with engine.connect() as connection:
        return {row.id: row.beats for row in connection.execute(sa.select(_WORKERS))}


def resume_work_of(worker: str) -> int:
    """Give every unfinished workflow of a dead worker back to the queues; returns how many."""
    unfinished = DBOS.list_workflows(executor_id=worker, status="PENDING", app_version=VERSION, load_input=False)
    for workflow in unfinished:
        DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
    return len(unfinished)
