"""The workflow database: how DBOS is set up on SQLite and PostgreSQL, and the heartbeats of the workers."""

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import AppError, Failed, Rejected, Retryable
from app.settings import Database, Settings

log = structlog.get_logger()

APPLICATION = "vigil"
VERSION = "5"
"""Names the steps of the workflows. Recovery resumes only workflows of the same version: bump it when steps change, and
let the old worker finish first."""

_PRIMARY = 0xFF
"""Of an extended result code of SQLite: the part that tells what kind of error it is."""
_WORKERS = sa.Table(
    "vigil_workers",
    sa.MetaData(),
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("beats", sa.BigInteger, nullable=False),
    sa.Column("version", sa.String(32), nullable=False, server_default=""),
)


def address(database: Database) -> sa.URL:
    """Where the workflow database is, with the password where a file gives one. Never to be shown with it.

    Raises:
        Rejected: The file with the password cannot be read, or the address is none of a database we know.
    """
    try:
        url = sa.make_url(database.url)
    except sa.exc.ArgumentError as error:
        raise Rejected("database.url is no address; write sqlite:///FILE or postgresql://USER@HOST/NAME") from error
    if url.get_backend_name() == "sqlite":
        return url
    if url.get_backend_name() != "postgresql":
        raise Rejected(f"database.url: '{url.get_backend_name()}' is not served; write sqlite:///… or postgresql://…")
    url = url.set(drivername="postgresql+psycopg")
    if database.password_file is None:
        return url
    if url.password is not None:
        raise Rejected("database: give the password in password_file or in url, not in both")
    try:
        password = database.password_file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise Rejected(f"database.password_file {database.password_file}: {why}; see its path and mode") from error
    if not password:
        raise Rejected(f"database.password_file {database.password_file} is empty; write the password into it")
    return url.set(password=password)


def open_engine(database: Database) -> sa.Engine:
    """Connect to the workflow database.

    SQLite runs with a write-ahead log that is synced at checkpoints: a killed process loses nothing; a power cut may
    lose the last moments, which are then done again from the spool, with the same result UIDs. Writers take their lock
    at once (BEGIN IMMEDIATE) and wait for each other. Errors do not quote what was written: the index of studies names
    patients.

    Raises:
        Rejected: See `address`.
    """
    url = address(database)
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=20, pool_pre_ping=True, hide_parameters=True)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, pool_size=20, max_overflow=10, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = "IMMEDIATE"
        cursor = connection.cursor()
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def shown(url: sa.URL) -> str:
    """A database in the words of an error, without its password."""
    return f"the database {url.render_as_string(hide_password=True)}"


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that a file is none of its own, or not whole."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def unreachable(url: sa.URL, error: Exception) -> AppError:
    """Say why nobody could use a database: a file that is damaged or cannot be opened, or a server that refuses the
    password or does not answer.

    libpq gives no SQLSTATE (28P01) of a connection that failed, and the server's words are of its own language; but it
    knows whether a password was asked for. The server's last line is told, which names no more than user and database.
    """
    cause = getattr(error, "orig", None) or error
    if url.get_backend_name() == "sqlite":
        return _unusable(url, cause)
    connection = getattr(cause, "pgconn", None)
    if connection is None or not connection.used_password:
        return Retryable(f"{shown(url)} does not answer; start the server, or see database.url")
    said = (str(cause).strip().splitlines() or [""])[-1].rpartition("failed: ")[2] or type(cause).__name__
    return Retryable(
        f"{shown(url)} refuses us ({said}); if it is the password: database.password_file must hold the one that the "
        "database was made with or changed to. Put the old file back, or give the database the new one "
        "(docs/runbook/operations.md, 'A new database password')"
    )


def _unusable(url: sa.URL, cause: BaseException) -> AppError:
    said = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    if is_damage(cause):
        return Failed(
            f"{shown(url)} is damaged ({said}); stop the service and put the last backup back "
            "(docs/runbook/backup.md), or see database.url: it may name another file"
        )
    return Retryable(
        f"{shown(url)} cannot be used ({said}); see owner and mode of the file and its folder, the room on its disk, "
        "and whether database.url names the right one"
    )


def configuration(settings: Settings, engine: sa.Engine) -> DBOSConfig:
    """Configure DBOS: our engine, a stable executor, our version, nothing sent anywhere."""
    return {
        "name": APPLICATION,
        "system_database_url": engine.url.render_as_string(hide_password=False),
        "system_database_engine": engine,
        "executor_id": settings.worker.id,
        "application_version": VERSION,
        "use_listen_notify": False,
        "run_migrations": False,
        "log_level": "WARNING",
    }


@dataclass
class Heartbeat:
    """A row a worker: counting on means living. Times are taken on the observer's own clock, so that clocks of
    different hosts need not agree.

    A worker that dies is found within `takeover_s` and two of the observer's beats.

    Attributes:
        engine: The workflow database, migrated.
        worker: Our id.
        takeover_s: Silence after which another worker counts as dead.
        version: Of the workflows that we run.
    """

    engine: sa.Engine
    worker: str
    takeover_s: float
    version: str = field(default_factory=lambda: VERSION)
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict, init=False)

    def beat(self) -> None:
        """Tell the others that we live."""
        mine = _WORKERS.c.id == self.worker
        count = sa.update(_WORKERS).where(mine).values(beats=_WORKERS.c.beats + 1, version=self.version)
        with self.engine.begin() as connection:
            if connection.execute(count).rowcount:
                return
        self._enter(self.worker, self.version)
        with self.engine.begin() as connection:
            connection.execute(count)

    def retire(self) -> None:
        """Leave nothing to take over."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(_WORKERS).where(_WORKERS.c.id == self.worker))

    def claim_dead(self) -> tuple[str, ...]:
        """Find workers that fell silent and claim them, so that only one of the living takes over.

        A claim counts as a beat: if the claimer dies before it is done, another may claim in turn.
        """
        now = time.monotonic()
        claimed = []
        for worker, beats, _ in self._others():
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
        for worker in workers:
            self._seen.pop(worker, None)

    def watch_over(self, workers: Iterable[str]) -> None:
        """Watch workers that have unfinished work and never beat, or were forgotten: they died before their first beat,
        or were taken for dead, came back, and died before their next. Silent for long enough, they are claimed.
        """
        known = {worker for worker, *_ in self._others()} | {self.worker}
        for worker in sorted(set(workers) - known):
            self._enter(worker, "")

    def versions_of_others(self) -> frozenset[str]:
        """Versions of the workflows that others run, or ran until they fell silent; "" before versions were told."""
        return frozenset(version for *_, version in self._others())

    def _others(self) -> Sequence[tuple[str, int, str]]:
        with self.engine.begin() as connection:
            rows = connection.execute(sa.select(_WORKERS).where(_WORKERS.c.id != self.worker)).all()
        return [(row.id, row.beats, row.version) for row in rows]

    def _enter(self, worker: str, version: str) -> None:
        """Make a worker's row, unless another has made it at this moment."""
        insert = sqlite_insert if self.engine.dialect.name == "sqlite" else postgresql_insert
        with self.engine.begin() as connection:
            connection.execute(insert(_WORKERS).values(id=worker, beats=0, version=version).on_conflict_do_nothing())

    def _claim(self, worker: str, beats: int) -> bool:
        unchanged = (_WORKERS.c.id == worker) & (_WORKERS.c.beats == beats)
        with self.engine.begin() as connection:
            return bool(connection.execute(sa.update(_WORKERS).where(unchanged).values(beats=beats + 1)).rowcount)


def beats_of(engine: sa.Engine) -> Mapping[str, int]:
    """How often each worker has beaten: a count that goes on is a worker that lives. Empty before the first one ran."""
    if not sa.inspect(engine).has_table(_WORKERS.name):
        return {}
    with engine.connect() as connection:
        return {row.id: row.beats for row in connection.execute(sa.select(_WORKERS.c.id, _WORKERS.c.beats))}


def versions_of(engine: sa.Engine) -> Mapping[str, str]:
    """Which version of the workflows each known worker runs, by its id; dead ones may be among them."""
    with engine.connect() as connection:
        return {row.id: row.version for row in connection.execute(sa.select(_WORKERS.c.id, _WORKERS.c.version))}


def resume_work_of(worker: str) -> int:
    """Give every unfinished workflow of a dead worker back to the queues; returns how many."""
    unfinished = DBOS.list_workflows(executor_id=worker, status="PENDING", app_version=VERSION, load_input=False)
    for workflow in unfinished:
        DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
    return len(unfinished)
