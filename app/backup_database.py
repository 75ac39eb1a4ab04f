"""The workflow database copied out and put back: SQLite by its online copy, PostgreSQL by pg_dump and pg_restore.

The two programs may be of another place, as of the database's own container, whose version always fits: whoever has
them waits at a named pipe (`await_done`) until it is time.
"""

import os
import select
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

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
EMPTY = """\
SET client_min_messages = warning;
SET lock_timeout = '60s';
DROP SCHEMA IF EXISTS dbos CASCADE;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
COMMENT ON SCHEMA public IS 'standard public schema';
"""
"""Takes every table away, also those of a newer program, of which the copy knows nothing. As deploy/restore does it."""


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
        Failed: pg_restore or psql is missing or fails; the database is then as it was.
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
        _replace(url, folder / DUMP)
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
    _require(program)
    try:
        subprocess.run(
            [program, *arguments, f"--dbname={_without_password(url)}"],
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            env=_environment(url),
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise _failure(program, error.stderr or b"") from error


def _replace(url: sa.URL, dump: Path) -> None:
    """In one transaction: all that is there goes, then comes what pg_restore writes as SQL. It is committed only after
    pg_restore has ended well; without that psql comes to the end of its input, and the server takes everything back.
    """
    for program in ("pg_restore", "psql"):
        _require(program)
    writer = ["pg_restore", "--no-owner", "--file=-", str(dump)]
    reader = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={_without_password(url)}"]
    with tempfile.TemporaryFile() as says_writer, tempfile.TemporaryFile() as says_reader:
        with (
            subprocess.Popen(
                reader, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=says_reader, env=_environment(url)
            ) as psql,
            subprocess.Popen(writer, stdout=subprocess.PIPE, stderr=says_writer) as pg_restore,
            _ended_in_time(psql, pg_restore),
        ):
            whole = _hand_over(pg_restore, psql)
        if not whole:
            raise _failure("pg_restore", _said(says_writer))
        if psql.returncode:
            raise _failure("psql", _said(says_reader))


def _hand_over(writer: "subprocess.Popen[bytes]", reader: "subprocess.Popen[bytes]") -> bool:
    """Whether the writer wrote all it had to; what the reader made of it is its exit code."""
    assert writer.stdout is not None  # noqa: S101  both are pipes
    assert reader.stdin is not None  # noqa: S101
    try:
        reader.stdin.write(f"BEGIN;\n{EMPTY}".encode())
        shutil.copyfileobj(writer.stdout, reader.stdin)
        whole = writer.wait() == 0
        if whole:
            reader.stdin.write(b"COMMIT;\n")
        reader.stdin.close()
    except BrokenPipeError:  # psql ended before, and says why
        with suppress(BrokenPipeError):
            reader.stdin.close()
        writer.kill()
        return True
    return whole


@contextmanager
def _ended_in_time(*processes: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill processes that have not ended an hour later."""

    def kill() -> None:
        for process in processes:
            process.kill()

    timer = threading.Timer(TIMEOUT_S, kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _said(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read()


def _failure(program: str, said: bytes) -> Failed:
    last = said.decode(errors="replace").strip().splitlines()[-1:]
    return Failed(f"{program} failed: {''.join(last) or 'it took longer than an hour'}")


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise Failed(
            f"{program} is not installed here; install postgresql-client of the server's version or newer, "
            "or run this where it is; of containers, on the server: deploy/backup FOLDER, deploy/restore FOLDER"
        )


def _without_password(url: sa.URL) -> str:
    return url.set(drivername="postgresql", password=None).render_as_string()


def _environment(url: sa.URL) -> dict[str, str]:
    return {**os.environ, **({"PGPASSWORD": url.password} if url.password else {})}
