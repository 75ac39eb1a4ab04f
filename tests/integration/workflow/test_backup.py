"""A backup is taken while studies are worked on; restored elsewhere, nothing is lost and nothing sent twice."""

import errno
import os
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest

from app import backup_database
from app.backup import MANIFEST, SEAL, backup, restore
from app.backup_database import DUMP, await_done
from app.demo.pacs import Pacs
from app.errors import Failed, Rejected
from app.heat import heat_file, heat_name, keep_heat
from app.locks import in_use
from app.outcomes import FINAL, State
from app.settings import Database
from app.workflow_database import open_engine
from app.workflow_migration import migrate, version_of
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.test_recovery import running, wait_for_lines
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

STUDIES = 6
pytestmark = pytest.mark.timeout(900)


def elsewhere(installation: Installation, tmp_path: Path) -> Installation:
    """Another house with the same bundles and destinations, and a database of its own."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "bundles").symlink_to(installation.folder / "bundles")
    url = f"sqlite:///{folder}/workflow.sqlite"
    if installation.database_url.startswith("postgresql"):
        server, name = installation.database_url.rsplit("/", 1)[0], f"restored_{time.time_ns()}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = f"{server}/{name}"
    return replace(installation, folder=folder, database_url=url)


def test_a_backup_under_load_is_restored_elsewhere(installation: Installation, pacs: Pacs, tmp_path: Path) -> None:
    begun = installation.folder / "begun"
    write_bundle(installation.folder / "bundles", "slow", delay_s=0.5, begun=begun)
    installation.overrides["bundles"] = {"enabled": ["slow"]}
    for _ in range(STUDIES):
        send_to_spool(installation.spool(), ct_slices())
    taken = installation.folder / "backup"
    with running(installation.start_process()):
        wait_for_lines(begun, 2)
        backup(installation.settings, taken)
        with pytest.raises(Failed, match="the service runs"):
            restore(installation.settings, taken, force=True)
    after = [each.sop_instance_uid for each in pacs.arrived]
    other = elsewhere(installation, tmp_path)
    restore(other.settings, taken)
    delivered = {
        document.sop_instance_uid
        for each in other.outcomes()
        if each.state in FINAL
        for document in each.documents
        if document.kind == "sr"
    }
    with running(other.start_process()):
        found = other.wait_final(STUDIES)
    assert [each.state for each in found] == [State.DELIVERED] * STUDIES
    wanted = {document.sop_instance_uid for each in found for document in each.documents if document.kind == "sr"}
    assert {document.path.parents[1] for each in found for document in each.documents} == {other.settings.results}
    arrived = Counter(each.sop_instance_uid for each in pacs.arrived)
    assert set(arrived) == wanted
    assert len(wanted) == STUDIES
    # What the backup knew as sent was not sent again; what was sent after it had been taken comes as a duplicate.
    assert {uid for uid in delivered if arrived[uid] != 1} == set()
    assert {uid for uid, times in arrived.items() if times > 1} <= set(after) - delivered


@pytest.fixture
def taken(installation: Installation, pacs: Pacs) -> Path:
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        installation.wait_final()
    folder = installation.folder / "backup"
    backup(installation.settings, folder)
    return folder


def test_a_backup_holds_the_heat_maps_of_the_results(installation: Installation, tmp_path: Path) -> None:
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        (outcome,) = installation.wait_final()
    heat = heat_file(installation.settings.results / outcome.key, heat_name("bundle", "finding", "1.2.3"))
    keep_heat(heat, np.full((4, 4), 9, np.uint8))
    backup(installation.settings, tmp_path / "backup")
    other = elsewhere(installation, tmp_path)
    restore(other.settings, tmp_path / "backup")
    assert (other.settings.results / outcome.key / heat.name).read_bytes() == heat.read_bytes()


def test_what_is_damaged_or_in_the_way_is_refused(installation: Installation, taken: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="hold data already; --force"):
        restore(installation.settings, taken)
    with pytest.raises(Rejected, match="is not empty"):
        backup(installation.settings, taken)
    before = installation.outcomes()
    with in_use(installation.settings.run), pytest.raises(Failed, match="the service runs"):
        restore(installation.settings, taken, force=True)
    restore(installation.settings, taken, force=True)
    assert installation.outcomes() == before
    other = elsewhere(installation, tmp_path)
    image = next((taken / "spool" / "studies").rglob("*.dcm"))
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.unlink()
    image.write_bytes(content)
    with pytest.raises(Rejected, match=r"\.dcm is missing or damaged"):
        restore(other.settings, taken)
    (taken / MANIFEST).write_text("{}")
    with pytest.raises(Rejected, match=r"manifest\.json is damaged"):
        restore(other.settings, taken)
    (taken / MANIFEST).unlink()
    with pytest.raises(Rejected, match="is no finished backup"):
        restore(other.settings, taken)
    assert not (other.folder / "spool").exists()


def test_a_study_that_was_being_sent_counts_as_broken_off(installation: Installation, tmp_path: Path) -> None:
    spool = installation.spool()
    presence = spool.attend()
    slices = ct_slices()
    send_to_spool(spool, slices[:2])
    for arrival in spool.arrivals():
        presence.announce(arrival.key)
    backup(installation.settings, installation.folder / "backup")
    spool.leave(presence, released=True)
    other = elsewhere(installation, tmp_path)
    restore(other.settings, installation.folder / "backup")
    (key,) = other.spool().study_keys()
    assert other.spool().interrupted(key)
    assert not spool.interrupted(key)


@contextmanager
def at_the_other_end(pipe: Path, command: str) -> Iterator[None]:
    """Somebody who has the programs of the database, as deploy/backup has them in its container."""
    os.mkfifo(pipe)
    script = f"exec 3>'{pipe}'; echo begun >&3; {command} && echo done >&3"
    with subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE) as other:
        try:
            yield
        finally:
            if other.poll() is None:
                other.terminate()


@pytest.mark.debian
def test_the_database_is_copied_and_put_back_by_whoever_is_at_a_pipe(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program of PostgreSQL is found by the backup itself."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ours = Installation(tmp_path / "ours", fresh_database(postgres))
    migrate(ours.settings.database)
    send_to_spool(ours.spool(), ct_slices())
    taken = tmp_path / "backup"
    with pytest.raises(Failed, match=r"pg_dump is not installed here; .* deploy/backup FOLDER"):
        backup(ours.settings, taken)
    with at_the_other_end(tmp_path / "out", f"pg_dump -Fc '{ours.database_url}' > '{taken / DUMP}'"):
        backup(ours.settings, taken, tmp_path / "out")
    assert (taken / DUMP).stat().st_size > 0
    other = Installation(tmp_path / "other", fresh_database(postgres))
    with at_the_other_end(tmp_path / "in", f"pg_restore --dbname='{other.database_url}' '{taken / DUMP}'"):
        assert restore(other.settings, taken, through=tmp_path / "in") == 0
    engine = open_engine(other.settings.database)
    assert version_of(engine)
    engine.dispose()
    assert other.spool().study_keys() == ours.spool().study_keys()


def fresh_database(server: str) -> str:
    name = f"piped_{time.time_ns()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.mark.debian
def test_a_copy_that_fails_at_the_other_end_makes_no_backup(postgres: str, tmp_path: Path) -> None:
    """Half a dump is there, as of a disk that is full."""
    ours = Installation(tmp_path / "ours", fresh_database(postgres))
    migrate(ours.settings.database)
    taken = tmp_path / "backup"
    with (
        at_the_other_end(tmp_path / "pipe", f"echo half > '{taken / DUMP}'; false"),
        pytest.raises(Failed, match="pg_dump failed where the database runs"),
    ):
        backup(ours.settings, taken, tmp_path / "pipe")
    assert not (taken / SEAL).exists()


def test_nobody_at_the_other_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_database, "BEGIN_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failed, match="nobody ran pg_dump at the other end"):
        await_done(tmp_path / "pipe", "pg_dump")
    with pytest.raises(Rejected, match="cannot be read"):
        await_done(tmp_path / "none", "pg_dump")


def test_a_pipe_is_refused_for_a_database_that_is_a_file(tmp_path: Path) -> None:
    ours = Installation(tmp_path / "ours", f"sqlite:///{tmp_path}/workflow.sqlite")
    with pytest.raises(Rejected, match="leave out --database-through"):
        backup(ours.settings, tmp_path / "backup", tmp_path / "pipe")


@pytest.mark.parametrize(("kind", "words"), [("full", "No space left on device"), ("file", "Not a directory")])
def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    ours = Installation(tmp_path / "ours", f"sqlite:///{tmp_path}/workflow.sqlite")
    send_to_spool(ours.spool(), ct_slices())
    target = tmp_path / "backup"
    if kind == "file":
        target.write_text("in the way")
    else:

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

        monkeypatch.setattr(os, "link", full)
        monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(
        Failed, match=rf"no backup was finished in .*{words} .*give a folder that this program can write"
    ):
        backup(ours.settings, target)
    assert not (target / SEAL).exists()


@pytest.fixture
def house_of_a_file(tmp_path: Path) -> Installation:
    """Its database is a file, which is set up."""
    ours = Installation(tmp_path / "ours", f"sqlite:///{tmp_path}/workflow.sqlite")
    migrate(ours.settings.database)
    return ours


def test_a_disk_that_is_full_when_the_database_is_copied_is_said_in_a_sentence(
    house_of_a_file: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def small(path: str | Path) -> sqlite3.Connection:
        connection = connect(path)
        if Path(path).name == backup_database.SQLITE:
            connection.execute("PRAGMA max_page_count=1")  # SQLite's own way to run full
        return connection

    monkeypatch.setattr(backup_database.sqlite3, "connect", small)
    with pytest.raises(Failed, match=r"was not copied to .*database or disk is full.*; make room there"):
        backup(house_of_a_file.settings, tmp_path / "backup")
    assert not (tmp_path / "backup" / SEAL).exists()


def test_a_database_whose_middle_is_damaged_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "workflow.sqlite").write_bytes(b"SQLite" * 1000)
    with pytest.raises(Failed, match=r"workflow\.sqlite is damaged .*; put the last backup back"):
        backup_database.copy_out(Database(url=f"sqlite:///{tmp_path}/workflow.sqlite"), tmp_path)


def test_a_file_that_is_no_database_is_not_told_to_be_a_server(house_of_a_file: Installation, tmp_path: Path) -> None:
    taken = tmp_path / "backup"
    backup(house_of_a_file.settings, taken)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"workflow.sqlite{suffix}").unlink(missing_ok=True)
    (tmp_path / "workflow.sqlite").write_bytes(b"no database " * 1000)
    for attempt in (
        lambda: backup(house_of_a_file.settings, tmp_path / "another"),
        lambda: restore(house_of_a_file.settings, taken),
    ):
        with pytest.raises(
            Failed, match=r"is damaged \(file is not a database\); .*put the last backup back"
        ) as caught:
            attempt()
        assert "server" not in str(caught.value)


def test_a_restore_that_cannot_write_says_so(installation: Installation, taken: Path, tmp_path: Path) -> None:
    other = elsewhere(installation, tmp_path)
    (other.folder / "results").write_text("in the way")
    with pytest.raises(Failed, match=r"was not restored, or not all of it: File exists .*--force"):
        restore(other.settings, taken)
