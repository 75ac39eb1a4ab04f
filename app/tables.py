"""Our own small tables in the workflow database, asked with one manner of failing."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import Retryable

SILENT = (
    "the workflow database does not answer, or is not set up; start it, and a worker or `python -m app migrate`; "
    "see database.url"
)


@contextmanager
def asking(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction of our own.

    Raises:
        Retryable: The database does not answer, or has not our tables yet.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, ProgrammingError, InterfaceError, PoolTimeout) as error:
        raise Retryable(SILENT) from error


def put(connection: sa.Connection, table: sa.Table, values: dict[str, object]) -> None:
    """Insert a row, or change the one of the same primary key."""
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    key = [column.name for column in table.primary_key]
    changes = {name: value for name, value in values.items() if name not in key}
    connection.execute(insert(table).values(values).on_conflict_do_update(index_elements=key, set_=changes))
