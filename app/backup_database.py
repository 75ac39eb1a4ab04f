"""The workflow database copied out and put back: SQLite by its online copy, PostgreSQL by pg_dump and pg_restore."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from app.errors import Failed, Rejected
from app.settings import Database
from app.workflow_database import address

SQLITE, DUMP = "database.sqlite", "database.dump"
TIMEOUT_S = 3600.0


def copy_out(database: Database, folder: Path) -> None:
    """Copy a database that is in use, consistent in itself, into a folder.

    Raises:
        Failed: pg_dump is missing or fails.
    """
    url = address(database)
    if url.get_backend_name() != "sqlite":
        _run(url, "pg_dump", "--format=custom", f"--file={folder / DUMP}")
        return
    with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(folder / SQLITE)) as target:
        source.backup(target)


def put_back(database: Database, folder: Path, name: str) -> None:
    """Put a copy in the place of a database that nobody uses.

    Raises:
        Rejected: The copy is of the other kind of database.
        Failed: pg_restore is missing or fails; the database is then as it was.
    """
    url = address(database)
    wanted = SQLITE if url.get_backend_name() == "sqlite" else DUMP
    if name != wanted:
        raise Rejected(f"the backup holds {name}, database.url wants {wanted}; restore into the same kind of database")
    if wanted == DUMP:
        clean = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error")
        _run(url, "pg_restore", *clean, str(folder / DUMP))
        return
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(folder / SQLITE, path)


def _run(url: sa.URL, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise Failed(
            f"{program} is not installed here; install postgresql-client of the server's version or newer, "
            "or run the backup where it is"
        )
    where = url.set(drivername="postgresql", password=None).render_as_string()
    secret = {"PGPASSWORD": url.password} if url.password else {}
    try:
        subprocess.run(
            [program, *arguments, f"--dbname={where}"],
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            env={**os.environ, **secret},
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        last = (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:]
        raise Failed(f"{program} failed: {''.join(last) or 'it took longer than an hour'}") from error
