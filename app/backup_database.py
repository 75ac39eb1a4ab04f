"""The workflow database copied out and put back: SQLite by its online copy, PostgreSQL by pg_dump and pg_restore.

The two programs may be of another place, as of the database's own container, whose version always fits: whoever has
them waits at a named pipe (`await_done`) until it is time.
"""

import os
import select
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from app.errors import Failed, Rejected
from app.settings import Database
from app.workflow_database import address, is_damage

SQLITE, DUMP = "database.sqlite", "database.dump"
TIMEOUT_S = 3600.0
BEGIN_S = 120.0
"""How long somebody at the other end of a pipe has to begin."""
BEGUN, DONE = b"begun\n", b"begun\ndone\n"
"""What is written into the pipe at the beginning, and what stands there when the database was copied."""
WORD_BYTES = 64


def copy_out(database: Database, folder: Path, through: Path | None = None) -> None:
    """Copy a database that is in use, consistent in itself, into a folder.

    Args:
        database: Its settings.
        folder: Gets the copy.
        through: A named pipe; whoever writes into it copies PostgreSQL to `database.dump` of the folder.

    Raises:
        Rejected: A pipe is given, but the database is a file.
        Failed: pg_dump is missing or fails; or the file cannot be read, or its copy written.
    """
    url = address(database)
    if through is not None:
        _refuse_file(url)
        await_done(through, "pg_dump")
        if not (folder / DUMP).is_file():
            raise Failed(f"pg_dump left no {folder / DUMP}; see what it said")
        return
    if url.get_backend_name() != "sqlite":
        _run(url, "pg_dump", "--format=custom", f"--file={folder / DUMP}")
        return
    try:
        with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(folder / SQLITE)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise Failed(_not_copied(str(url.database), folder / SQLITE, error)) from error


def _not_copied(source: str, target: Path, error: sqlite3.Error) -> str:
    """SQLite says what went wrong, and not which of the two files it was, but for damage: the copy is new."""
    if is_damage(error):
        return f"the database {source} is damaged ({error}); put the last backup back (docs/runbook/backup.md)"
    return (
        f"the database {source} was not copied to {target} ({error}); make room there, see owner and mode of both, and "
        "take the backup again into an empty folder"
    )


def put_back(database: Database, folder: Path, name: str, through: Path | None = None) -> None:
    """Put a copy in the place of a database that nobody uses.

    Args:
        database: Its settings.
        folder: Holds the copy.
        name: Of the copy.
        through: A named pipe; whoever writes into it puts `database.dump` of the folder into PostgreSQL.

    Raises:
        Rejected: The copy is of the other kind of database, or a pipe is given and the database is a file.
        Failed: pg_restore is missing or fails; the database is then as it was.
    """
    url = address(database)
    wanted = SQLITE if url.get_backend_name() == "sqlite" else DUMP
    if name != wanted:
        raise Rejected(f"the backup holds {name}, database.url wants {wanted}; restore into the same kind of database")
    if through is not None:
        _refuse_file(url)
        await_done(through, "pg_restore")
        return
    if wanted == DUMP:
        clean = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error")
        _run(url, "pg_restore", *clean, str(folder / DUMP))
        return
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(folder / SQLITE, path)


def await_done(pipe: Path, program: str) -> None:
    """Open a named pipe, which lets its writer begin, and wait until that says that all went well.

    The writer opens the pipe, writes the line "begun", runs the program, and writes "done" if it succeeded.

    Raises:
        Rejected: The pipe cannot be opened.
        Failed: Nobody begins, or the program fails or takes longer than an hour.
    """
    try:
        descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise Rejected(f"{pipe} cannot be read ({error.strerror}); give a named pipe (mkfifo)") from error
    said, begun = b"", time.monotonic()
    try:
        while len(said) < WORD_BYTES:
            ends = begun + (TIMEOUT_S if said.startswith(BEGUN) else BEGIN_S)
            ready, _, _ = select.select([descriptor], [], [], max(0.0, ends - time.monotonic()))
            more = os.read(descriptor, WORD_BYTES) if ready else b""
            if not more:
                break
            said += more
    finally:
        os.close(descriptor)
    if not said.startswith(BEGUN):
        raise Failed(
            f"nobody ran {program} at the other end of {pipe}; begin again with deploy/backup or deploy/restore"
        )
    if said != DONE:
        raise Failed(f"{program} failed where the database runs, or took longer than an hour; see what it said")


def _refuse_file(url: sa.URL) -> None:
    if url.get_backend_name() == "sqlite":
        raise Rejected("database.url is a file of SQLite, which needs no other program; leave out --database-through")


def _run(url: sa.URL, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise Failed(
            f"{program} is not installed here; install postgresql-client of the server's version or newer, "
            "or run this where it is; of containers, on the server: deploy/backup FOLDER, deploy/restore FOLDER"
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
