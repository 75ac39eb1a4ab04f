"""A database that refuses the password is told from one that does not answer."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app.check import State, check_database
from app.errors import Retryable
from app.settings import Database, Settings
from app.workflow_migration import migrate
from tests.integration.workflow.conftest import free_port

pytestmark = pytest.mark.debian


@pytest.fixture
def guarded(postgres: str) -> Iterator[str]:
    """An address of the cluster where passwords count: of a user that has one."""
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(file)
        before = rules.read_text()
        rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield f"postgresql://guarded@{postgres.rpartition('@')[2]}/postgres"
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE guarded")


def test_a_refused_password_is_said_and_what_to_do(guarded: str, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong\n")
    settings = Settings(database=Database(url=guarded, password_file=password))
    with pytest.raises(Retryable, match=r'refuses us \(FATAL:.*"guarded"\); if it is the password: .*password_file'):
        migrate(settings.database)
    (result,) = check_database(settings)
    assert result.state is State.ERROR
    assert "database.password_file must hold the one" in result.detail
    assert "wrong" not in result.detail


def test_a_server_that_is_not_there_does_not_answer() -> None:
    settings = Settings(database=Database(url=f"postgresql://vigil:secret@127.0.0.1:{free_port()}/vigil"))
    with pytest.raises(Retryable, match="does not answer; start the server") as caught:
        migrate(settings.database)
    assert "secret" not in str(caught.value)
    (result,) = check_database(settings)
    assert "does not answer; start the server" in result.detail
