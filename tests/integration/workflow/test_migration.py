"""The database brought to this program's version: once, by several at once, and never backwards."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.exc import OperationalError

from app.errors import Failed, Rejected
from app.settings import Database
from app.workflow_database import Heartbeat, address, beats_of, open_engine
from app.workflow_migration import _configuration as configured
from app.workflow_migration import migrate, refuse_newer, require_current, version_of
from app.worklist_query import Query
from app.worklist_rows import Names
from app.worklist_table import METADATA, detectors, listing, place_of, put, remove, turn
from tests.unit.worklist_cases import a_row

HEAD = "0005"
CALLERS = 4


def test_an_empty_database_is_set_up_and_a_second_call_changes_nothing(database_url: str) -> None:
    database = Database(url=database_url)
    assert migrate(database) == ("", HEAD)
    assert migrate(database) == (HEAD, HEAD)
    engine = open_engine(database)
    require_current(engine)
    engine.dispose()


def test_several_callers_at_once_are_safe(database_url: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"database: {{url: '{database_url}'}}\nrun: {tmp_path}/run\n")
    command = [sys.executable, "-m", "app", "migrate", "--config", str(settings)]
    root = Path(__file__).resolve().parents[3]
    callers = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(CALLERS)]
    said = sorted(caller.communicate(timeout=120)[0].strip() for caller in callers)
    assert [caller.returncode for caller in callers] == [0] * CALLERS
    already = f"database: at version {HEAD} already"
    assert said == sorted([f"database: set up at version {HEAD}", *[already] * (CALLERS - 1)])


def test_an_installation_from_before_there_were_versions_keeps_its_rows(database_url: str) -> None:
    database = Database(url=database_url)
    engine = open_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE vigil_workers (id VARCHAR(128) PRIMARY KEY, beats BIGINT NOT NULL)"))
        connection.execute(sa.text("INSERT INTO vigil_workers VALUES ('old', 7)"))
    with pytest.raises(Failed, match="is not set up; run once: python -m app migrate"):
        require_current(engine)
    assert migrate(database) == ("", HEAD)
    assert beats_of(engine) == {"old": 7}
    Heartbeat(engine, "new", 30).beat()
    assert sorted(beats_of(engine)) == ["new", "old"]
    engine.dispose()


def test_the_version_before_the_worklist_keeps_its_rows_and_gets_an_empty_index(database_url: str) -> None:
    """And what is put into it then is found: the steps make the tables that the program knows."""
    database = Database(url=database_url)
    engine = open_engine(database)
    configuration = configured()
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0002")
    Heartbeat(engine, "old", 30).beat()
    assert version_of(engine) == "0002"
    assert migrate(database) == ("0002", HEAD)
    assert beats_of(engine) == {"old": 1}
    rows = [a_row(1), a_row(2, urgent=1), a_row(3, state="failed", names=Names(patient_name="Yamada^Tarou=山田^太郎"))]
    with engine.begin() as connection:
        assert turn(connection) == (0, False)
        put(connection, rows)
        put(connection, rows)
        assert listing(connection, Query(), 2).rows == (rows[1], rows[2])
        assert listing(connection, Query("山田"), 2, 0).rows == (rows[2],)
        assert listing(connection, Query("p1 jane"), 2).rows == (rows[0],)
        assert listing(connection, Query(after=place_of(rows[2])), 2, 0).rows == (rows[0],)
        assert (detectors(connection), remove(connection, [rows[0].key])) == (("head",), 1)
    inspected = sa.inspect(engine)
    for table in METADATA.sorted_tables:
        made = {column["name"]: column["nullable"] for column in inspected.get_columns(table.name)}
        assert made == {column.name: column.nullable for column in table.columns}
    engine.dispose()


def test_a_database_of_a_newer_program_is_refused(database_url: str) -> None:
    database = Database(url=database_url)
    migrate(database)
    engine = open_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE vigil_schema SET version_num = '9999'"))
    for attempt in (lambda: migrate(database), lambda: require_current(engine), lambda: refuse_newer(engine)):
        with pytest.raises(Failed, match=r"9999.*Upgrade this installation, or restore the backup"):
            attempt()
    assert version_of(engine) == "9999"
    engine.dispose()


def test_the_password_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word:1\n")
    database = Database(url="postgresql://vigil@localhost/vigil", password_file=secret)
    url = address(database)
    assert url.password == "p@ss/word:1"
    assert "p@ss" not in str(url)
    secret.write_text("\n")
    with pytest.raises(Rejected, match="is empty; write the password into it"):
        address(database)
    secret.unlink()
    with pytest.raises(Rejected, match="No such file or directory; see its path and mode"):
        address(database)
    with pytest.raises(Rejected, match="not in both"):
        address(Database(url="postgresql://vigil:word@localhost/vigil", password_file=secret))


@pytest.mark.debian
def test_a_password_that_postgresql_wants_opens_the_door(postgres: str, tmp_path: Path) -> None:
    """The cluster trusts everybody: what is shown is that the address with a password is one that it takes."""
    secret = tmp_path / "password"
    secret.write_text("word\n")
    engine = open_engine(Database(url=f"{postgres}/postgres", password_file=secret))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()


def test_a_silent_database_is_no_newer_one() -> None:
    engine = open_engine(Database(url="postgresql://vigil@127.0.0.1:1/vigil"))
    refuse_newer(engine)
    with pytest.raises(OperationalError):
        version_of(engine)
    engine.dispose()
