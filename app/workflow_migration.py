"""The workflow database brought to the version of this program, once, however many callers there are.

Our own tables have their history in `app/migrations` (Alembic); the tables of the workflow engine are brought along by
DBOS itself, in the same verb and under the same lock.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from dbos import DBOS
from dbos import error as dbos_error
from sqlalchemy.exc import OperationalError

from app.errors import Failed, Retryable
from app.settings import Database
from app.workflow_database import address, open_engine, shown, unreachable

log = structlog.get_logger()

VERSION_TABLE = "vigil_schema"
LOCK = 0x766967696C
"""Of PostgreSQL's advisory locks: "vigil" in ASCII."""
PATIENCE_S = 600.0
"""How long to wait for another caller's migration."""
GLANCE_S = 0.2


def migrate(database: Database) -> tuple[str, str]:
    """Bring a database, which may be empty, to this program's version; does nothing where it is there already.

    Returns:
        Version of our own tables before ("" for none) and after.

    Raises:
        Failed: The database is newer than this program.
        Rejected: The settings of the database cannot be used.
        Retryable: It does not answer or refuses the password, or somebody else has been migrating it for long.
    """
    url = address(database)
    engine = open_engine(database)
    try:
        with _alone(engine):
            before = _recorded(engine)
            _refuse_newer(before)
            DBOS.migrate(url.render_as_string(hide_password=False))
            configuration = _configuration()
            with engine.begin() as connection:
                configuration.attributes["connection"] = connection
                command.upgrade(configuration, "head")
            after = _recorded(engine)
    except OperationalError as error:
        raise unreachable(url, error) from error
    finally:
        engine.dispose()
    if before != after:
        log.info("database_migrated", before=before or "none", after=after)
    return before, after


def require_current(engine: sa.Engine) -> None:
    """See that a database has this program's version, before anything is done with it.

    Raises:
        Failed: It is older or newer, or was never migrated; says what to do.
        Retryable: It does not answer, or refuses the password.
    """
    try:
        recorded = _recorded(engine)
    except OperationalError as error:
        raise unreachable(engine.url, error) from error
    _refuse_newer(recorded)
    if recorded != _head():
        state = f"has version {recorded} of our tables, this program wants {_head()}" if recorded else "is not set up"
        raise Failed(f"{shown(engine.url)} {state}; run once: python -m app migrate --config FILE")


def launch() -> None:
    """Start DBOS on tables that it does not change.

    Raises:
        Failed: Its own tables are older than it.
    """
    try:
        DBOS.launch()
    except dbos_error.DBOSInitializationError as error:
        raise Failed(
            "the tables of the workflow engine are not up to date; run once: python -m app migrate --config FILE"
        ) from error


def refuse_newer(engine: sa.Engine) -> None:
    """See that a database is not newer than this program; an older or empty one passes, as does one that is silent.

    Raises:
        Failed: It is newer.
    """
    try:
        recorded = _recorded(engine)
    except OperationalError:
        return
    _refuse_newer(recorded)


def refuse_newer_at(database: Database) -> None:
    """`refuse_newer`, of the settings.

    Raises:
        Failed: The database is newer than this program.
        Rejected: The settings of the database cannot be used.
    """
    engine = open_engine(database)
    try:
        refuse_newer(engine)
    finally:
        engine.dispose()


def version_of(engine: sa.Engine) -> str:
    """Version of our own tables, "" where there are none."""
    return _recorded(engine)


def _refuse_newer(recorded: str) -> None:
    if recorded and recorded not in {script.revision for script in _scripts().walk_revisions()}:
        raise Failed(
            f"the database has version {recorded} of our tables, which this program (up to {_head()}) does not know: "
            "a newer one was here. Upgrade this installation, or restore the backup from before the upgrade"
        )


def _recorded(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    return found or ""


def _head() -> str:
    return _scripts().get_current_head() or ""


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_configuration())


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """One migration at a time: an advisory lock of PostgreSQL, or a locked file beside that of SQLite."""
    if engine.dialect.name == "sqlite":
        with _alone_on_file(Path(f"{engine.url.database}.migrating")):
            yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        deadline = time.monotonic() + PATIENCE_S
        while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK))):
            _wait(deadline)
        try:
            yield
        finally:
            connection.scalar(sa.select(sa.func.pg_advisory_unlock(LOCK)))


@contextmanager
def _alone_on_file(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + PATIENCE_S
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait(deadline)
        yield


def _wait(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Retryable(
            "another `migrate` has held the database for ten minutes; see what it waits for, then try again"
        )
    time.sleep(GLANCE_S)
