"""A backup is taken while studies are worked on; restored elsewhere, nothing is lost and nothing sent twice."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest

from app.backup import MANIFEST, backup, restore
from app.demo.pacs import Pacs
from app.errors import Failed, Rejected
from app.heat import heat_file, heat_name, keep_heat
from app.locks import in_use
from app.outcomes import FINAL, State
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
