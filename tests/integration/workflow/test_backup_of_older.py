"""A backup of an older version goes back over the database of a newer one, by PostgreSQL's own programs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app.backup import backup, restore
from app.backup_database import DUMP, EMPTY
from app.errors import Failed
from app.workflow_migration import migrate
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.test_backup import at_the_other_end

pytestmark = [pytest.mark.debian, pytest.mark.timeout(300)]
NEWER = """
CREATE TABLE dbos.newer (workflow_uuid text REFERENCES dbos.workflow_status (workflow_uuid) ON DELETE CASCADE);
CREATE TABLE public.vigil_newer (note text);
CREATE TYPE public.vigil_state AS ENUM ('new');
"""
TABLES = (
    "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema IN ('dbos', 'public')"
)
Restore = Callable[[Installation, Path], None]


@pytest.fixture(params=["app", "deploy"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ours(postgres: str, tmp_path: Path, way: str) -> Iterator[Installation]:
    """On a database of the name and owner that it has in containers; without them its owner is no superuser."""
    owner, server = "vigil" if way == "deploy" else "house", f"{postgres}/postgres"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS house")
        connection.execute("CREATE ROLE house LOGIN")
        connection.execute(f"CREATE DATABASE vigil OWNER {owner}")
    yield Installation(tmp_path, f"{postgres.replace('vigil@', f'{owner}@')}/vigil")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE vigil WITH (FORCE)")


def execute(installation: Installation, statements: str) -> None:
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        connection.execute(statements.encode())


def tables(installation: Installation) -> set[str]:
    with psycopg.connect(installation.database_url) as connection:
        return {str(name) for (name,) in connection.execute(TABLES.encode())}


def by_the_app(installation: Installation, taken: Path) -> None:
    restore(installation.settings, taken, force=True)


@pytest.fixture
def by_deploy(root: Path, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restore:
    """What deploy/restore runs in the container of the database, where `vigil` is the user."""
    host, port = postgres.split("@")[1].split(":")
    monkeypatch.setenv("PGHOST", host)
    monkeypatch.setenv("PGPORT", port)

    def call(installation: Installation, taken: Path) -> None:
        pipe = tmp_path / os.urandom(4).hex()
        lib = f". '{root}/deploy/lib.sh'"
        command = f'{lib}; sh -euc "$(replacing_database)" sh "$empty_database" < \'{taken / DUMP}\''
        with at_the_other_end(pipe, command):
            restore(installation.settings, taken, force=True, through=pipe)

    return call


@pytest.fixture
def put_back(by_deploy: Restore, way: str) -> Restore:
    return by_deploy if way == "deploy" else by_the_app


def test_nothing_of_a_newer_version_is_left(ours: Installation, tmp_path: Path, put_back: Restore) -> None:
    migrate(ours.settings.database)
    before = tables(ours)
    backup(ours.settings, tmp_path / "backup")
    execute(ours, NEWER)
    assert tables(ours) - before == {"dbos.newer", "public.vigil_newer"}
    put_back(ours, tmp_path / "backup")
    assert tables(ours) == before
    execute(ours, NEWER)  # as the next upgrade makes them
    backup(ours.settings, tmp_path / "again")
    put_back(ours, tmp_path / "again")
    assert tables(ours) - before == {"dbos.newer", "public.vigil_newer"}


def cut(dump: Path) -> None:
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size * 2 // 3])


@pytest.mark.parametrize("kind", ["cut", "conflict"])
def test_a_restore_that_fails_leaves_the_database_as_it_was(
    ours: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put_back: Restore, kind: str
) -> None:
    """By pg_restore, which comes to the end of half a dump, or by psql, which refuses what it gets."""
    migrate(ours.settings.database)
    taken = tmp_path / "backup"
    if kind == "conflict":
        execute(ours, "CREATE SCHEMA other; CREATE TABLE other.kept (note text)")
    backup(ours.settings, taken)
    if kind == "cut":
        cut(taken / DUMP)
        monkeypatch.setattr("app.backup.verify", lambda _: {"database": DUMP})
    execute(ours, NEWER)
    before = tables(ours)
    with pytest.raises(Failed, match=r"pg_restore failed|psql failed"):
        put_back(ours, taken)
    assert tables(ours) == before


def test_both_ways_empty_the_database_alike(root: Path) -> None:
    command = f". '{root}/deploy/lib.sh'; printf %s \"$empty_database\""
    assert subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60).stdout == EMPTY


def test_a_backup_is_looked_at_alone(tmp_path: Path) -> None:
    """Without settings: nothing of an installation is needed."""
    ours, taken = Installation(tmp_path, f"sqlite:///{tmp_path}/workflow.sqlite"), tmp_path / "backup"
    migrate(ours.settings.database)
    backup(ours.settings, taken)
    command = [sys.executable, "-m", "app", "restore", str(taken), "--verify"]
    whole = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert whole.returncode == 0, whole.stderr
    assert "is whole: 1 files" in whole.stdout
    (taken / "database.sqlite").write_bytes(b"")
    damaged = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert damaged.returncode != 0
    assert "database.sqlite is missing or damaged" in damaged.stderr
