"""A study that was received is told from its first image on, whatever becomes of the workers."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app import outcomes
from app.arrivals import Arrivals, is_arrival, key_of
from app.outcomes import StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from app.study import revision_of, uid_hash
from app.worklist import Worklist
from app.worklist_arrivals import AGAIN_S
from app.worklist_query import Query
from app.worklist_rows import NOT_BEGUN
from tests.unit.receive.objects import encode, make_object
from tests.unit.worklist_cases import settings_in, with_tables

UID = "1.2.826.0.1.7"
STUDY = uid_hash(UID)
KEY = key_of(STUDY)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def worklist(settings: Settings) -> Iterator[Worklist]:
    engine = with_tables(settings)
    yield Worklist(settings, engine)
    engine.dispose()


def receive(settings: Settings, number: int = 1, uid: str = UID) -> Spool:
    """One image, as the listener stores it."""
    spool = Spool(settings.spool.folder, 0)
    made = make_object(uid, f"{uid}.{number}", PatientName="Doe^Jane", AccessionNumber="A-1", StudyDate="20261122")
    spool.store(
        encode(made),
        sop_class_uid=made.SOPClassUID,
        sop_instance_uid=made.SOPInstanceUID,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="CT1",
    )
    return spool


def begin(settings: Settings, spool: Spool) -> StudyOutcome:
    """What a worker does first with what has come."""
    (arrival,) = spool.arrivals()
    files = spool.files(arrival.key)
    key = f"{arrival.key}-{revision_of(files)}"
    begun = StudyOutcome(key, received_at=arrival.last_received, files=tuple(file.name for file in files))
    return outcomes.begin(settings.results, begun)


def listed(worklist: Worklist, text: str = "") -> list[str]:
    return [row.key for row in worklist.search(Query(text)).rows]


def test_a_study_is_listed_and_found_before_a_worker_has_begun_it(worklist: Worklist, settings: Settings) -> None:
    assert listed(worklist) == []
    receive(settings)
    (row,) = worklist.search(Query()).rows
    assert (row.key, row.state, row.shown.images, row.shown.remark) == (KEY, "received", 1, NOT_BEGUN)
    assert (row.names.study_uid, row.names.patient_name, row.names.modality) == (UID, "Doe^Jane", "CT")
    for text in (UID, "doe", "a-1", "2026-11-22"):
        assert listed(worklist, text) == [KEY], text
    assert worklist.search(Query()).states == {"received": 1}


def test_it_gives_way_to_its_revision_without_a_gap_or_a_double(worklist: Worklist, settings: Settings) -> None:
    spool = receive(settings)
    assert listed(worklist) == [KEY]
    outcome = begin(settings, spool)
    assert outcome.key in listed(worklist)
    assert spool.settle(spool.arrivals()[0])
    assert listed(worklist) == [outcome.key]


def test_a_study_that_was_begun_and_not_yet_settled_is_listed_once(settings: Settings) -> None:
    engine = with_tables(settings)
    outcome = begin(settings, receive(settings))
    assert listed(Worklist(settings, engine)) == [outcome.key]
    engine.dispose()


def test_late_images_are_listed_beside_the_revision_that_lacks_them(worklist: Worklist, settings: Settings) -> None:
    spool = receive(settings)
    outcome = begin(settings, spool)
    spool.settle(spool.arrivals()[0])
    assert listed(worklist) == [outcome.key]
    receive(settings, 2)
    assert set(listed(worklist)) == {KEY, outcome.key}


def test_a_row_grows_with_its_images(worklist: Worklist, settings: Settings) -> None:
    now = [100.0]
    worklist._coming.clock = lambda: now[0]
    receive(settings)
    assert worklist.search(Query()).rows[0].shown.images == 1
    receive(settings, 2)
    now[0] += AGAIN_S + 1
    assert worklist.search(Query()).rows[0].shown.images == 2


def test_a_comparison_keeps_arrivals_and_finds_those_without_a_mark(worklist: Worklist, settings: Settings) -> None:
    receive(settings)
    spool = receive(settings, uid=f"{UID}.1")
    (settings.spool.folder / "active" / STUDY).unlink()
    assert listed(worklist) == [key_of(uid_hash(f"{UID}.1"))]
    assert worklist.compare() == 0
    assert set(listed(worklist)) == {KEY, key_of(uid_hash(f"{UID}.1"))}
    files = spool.files(STUDY)
    begun = StudyOutcome(f"{STUDY}-{revision_of(files)}", 5.0, files=tuple(file.name for file in files))
    outcomes.begin(settings.results, begun)
    worklist.search(Query())
    worklist.compare()
    assert set(listed(worklist)) == {begun.key, key_of(uid_hash(f"{UID}.1"))}


@pytest.mark.parametrize("more", [False, True])
def test_one_without_a_mark_gives_way_to_its_revision_at_once(
    more: bool, worklist: Worklist, settings: Settings
) -> None:
    """As after a power cut; a mark that comes meanwhile says that there is more than was begun."""
    now = [100.0]
    worklist._coming.clock = lambda: now[0]
    spool = receive(settings)
    (arrival,) = spool.arrivals()
    spool.settle(arrival)
    worklist.compare()
    assert listed(worklist) == [KEY]
    files = spool.files(STUDY)
    begun = StudyOutcome(f"{STUDY}-{revision_of(files)}", 5.0, files=tuple(file.name for file in files))
    if more:
        receive(settings, 2)
    outcomes.begin(settings.results, begun)
    for _ in range(3):
        now[0] += AGAIN_S + 1
        assert set(listed(worklist)) == ({KEY, begun.key} if more else {begun.key})


def test_rows_of_another_run_are_taken_over(settings: Settings) -> None:
    engine = with_tables(settings)
    spool = receive(settings)
    assert listed(Worklist(settings, engine)) == [KEY]
    outcome = begin(settings, spool)
    spool.settle(spool.arrivals()[0])
    assert listed(Worklist(settings, engine)) == [outcome.key]
    engine.dispose()


def test_a_look_that_takes_long_is_left_to_the_background(worklist: Worklist, settings: Settings) -> None:
    receive(settings)
    worklist._coming._took = 1.0
    assert listed(worklist) == []
    worklist.catch_up(waited_for=False)
    assert listed(worklist) == [KEY]


def test_what_has_come_is_found_by_key_hash_and_uid(settings: Settings) -> None:
    arrivals = Arrivals(settings)
    assert arrivals.find(UID) is None
    assert not (settings.spool.folder).exists()
    spool = receive(settings)
    for name in (KEY, STUDY, UID):
        found = arrivals.find(name)
        assert found is not None
        assert (found.key, found.study_uid, found.state, len(found.files)) == (KEY, UID, "received", 1), name
    assert arrivals.find("1.2.3") is None
    assert arrivals.find(f"{STUDY}-{'1' * 16}") is None
    outcome = begin(settings, spool)
    spool.settle(spool.arrivals()[0])
    for name in (KEY, STUDY, UID):
        found = arrivals.find(name)
        assert found is not None
        assert found.key == outcome.key
    assert is_arrival(KEY)
    assert not is_arrival(outcome.key)


def test_a_broken_header_hides_no_arrival(worklist: Worklist, settings: Settings) -> None:
    receive(settings)
    (file,) = (settings.spool.folder / "studies" / STUDY).iterdir()
    file.write_bytes(b"no DICOM")
    os.utime(settings.spool.folder / "active" / STUDY)
    assert listed(worklist) == [KEY]
    found = Arrivals(settings).find(UID)
    assert found is not None
    assert replace(found, received_at=0.0).study_uid == ""
