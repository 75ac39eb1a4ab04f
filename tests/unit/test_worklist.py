"""The index follows what lies on disk: taken in at once, mended where it was missed, and never in a study's way."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from app import outcomes
from app.documents import Document, DocumentKind
from app.errors import Retryable
from app.outcomes import CHANGED, OUTCOME, StudyOutcome
from app.settings import Settings
from app.study import uid_hash
from app.worklist import Watch, Worklist
from app.worklist_query import Query
from app.worklist_rows import Names, listed_name
from app.worklist_table import METADATA
from tests.unit.receive.objects import make_object, to_file
from tests.unit.test_outcomes import DELIVERED, KEY, PUBLISHED, RECEIVED, REPORT, ROUTED, SR, UID
from tests.unit.worklist_cases import settings_in, with_tables

NEWER = f"{uid_hash(UID)}-{'1' * 16}"
NASTY = "<script>alert(1)</script>^\"'>&"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def worklist(settings: Settings) -> Iterator[Worklist]:
    engine = with_tables(settings)
    yield Worklist(settings, engine)
    engine.dispose()


def keep(settings: Settings, outcome: StudyOutcome) -> StudyOutcome:
    return outcomes.begin(settings.results, outcome)


def an_image(settings: Settings, name: str = "a.dcm", **elements: object) -> Path:
    folder = settings.spool.folder / "studies" / uid_hash(UID)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(to_file(make_object(UID, f"{UID}.9", **elements)))
    return folder / name


def listed(worklist: Worklist) -> list[tuple[str, str]]:
    return [(row.key, row.state) for row in worklist.search(Query()).rows]


def test_what_is_written_is_listed_at_once(worklist: Worklist, settings: Settings) -> None:
    assert listed(worklist) == []
    keep(settings, RECEIVED)
    assert listed(worklist) == [(KEY, "received")]
    outcomes.record(settings.results / KEY, lambda _: PUBLISHED)
    assert listed(worklist) == [(KEY, "processing")]
    outcomes.record(settings.results / KEY, lambda known: outcomes.with_receipt(known, DELIVERED))
    (row,) = worklist.search(Query()).rows
    assert (row.state, row.findings, row.bundles) == ("delivered", ("intracranial_hemorrhage",), ("bleeds",))
    assert row.shown.told[0].certainty == 0.75
    assert list((settings.results / CHANGED).iterdir()) == []


def test_tells_whose_study_it_is_as_its_images_do(worklist: Worklist, settings: Settings) -> None:
    an_image(
        settings,
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Müller^Jörg^^Dr.=山田^太郎",
        PatientID="P 1",
        AccessionNumber="A-1",
        StudyDate="20261122",
        StudyDescription="Head\tCT",
        Modality="CT",
    )
    keep(settings, replace(ROUTED, modalities=("CT", "MR")))
    (row,) = worklist.search(Query()).rows
    assert row.names == Names(UID, "CT\\MR", "Müller^Jörg^^Dr.=山田^太郎", "P 1", "A-1", "20261122", "Head CT")
    assert listed_name(row.names.patient_name) == "Müller, Jörg / 山田 太郎"
    for text in ("MÜLLER", "jörg, müller", "山田", "p 1", "a-1", "2026-11-22", "20261122", UID, "head"):
        assert worklist.search(Query(text)).total == 1, text
    for text in ("Miller", "1.2.4", "a-2", "hemorrhage"):
        assert worklist.search(Query(text)).total == 0, text


def test_a_name_stays_after_its_images_are_gone(worklist: Worklist, settings: Settings) -> None:
    image = an_image(settings, PatientName="Doe^Jane")
    keep(settings, RECEIVED)
    assert listed(worklist)
    image.unlink()
    outcomes.record(settings.results / KEY, lambda _: PUBLISHED)
    assert worklist.search(Query("jane")).total == 1


def test_a_name_is_read_from_a_document_where_images_are_gone(worklist: Worklist, settings: Settings) -> None:
    image = an_image(settings, PatientName="Doe^Jane", Modality="SR")
    document = Document(DocumentKind.SR, "bleeds", settings.results / KEY / "a.sr.dcm", "2.25.1")
    keep(settings, replace(PUBLISHED, documents=(document,)))
    shutil.move(image, document.path)
    (row,) = worklist.search(Query("doe")).rows
    assert (row.names.patient_name, row.names.modality) == ("Doe^Jane", "")


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff1"])
def test_an_image_that_cannot_be_read_hides_no_study(worklist: Worklist, settings: Settings, content: bytes) -> None:
    an_image(settings).write_bytes(content)
    keep(settings, ROUTED)
    with capture_logs() as logs:
        assert listed(worklist) == [(KEY, "processing")]
    assert "no DICOM" not in str(logs)


def test_hostile_names_are_text(worklist: Worklist, settings: Settings) -> None:
    an_image(settings, PatientName=NASTY, PatientID="a\0b\x1b[31m", StudyDescription="x" * 5000)
    keep(settings, RECEIVED)
    with capture_logs() as logs:
        (row,) = worklist.search(Query("<script>alert(1)</script>")).rows
    assert (row.names.patient_name, len(row.names.description)) == (NASTY, 256)
    assert not set(row.names.patient_id) & {"\0", "\x1b"}
    assert "script" not in str(logs)


def test_a_damaged_outcome_is_listed_as_failed(worklist: Worklist, settings: Settings) -> None:
    keep(settings, RECEIVED)
    (settings.results / KEY / OUTCOME).write_text("{")
    with capture_logs() as logs:
        (row,) = worklist.search(Query()).rows
    assert (row.state, "damaged" in row.shown.remark) == ("failed", True)
    assert [each["event"] for each in logs] == ["outcome_damaged"]


def test_a_newer_revision_takes_the_urgency_over(worklist: Worklist, settings: Settings) -> None:
    finding = replace(REPORT.findings[0], urgent=True)
    sr = replace(SR, series_uid=REPORT.series_uid)
    urgent = replace(PUBLISHED, reports=(replace(REPORT, findings=(finding,)),), documents=(sr,))
    keep(settings, urgent)
    assert [row.urgent for row in worklist.search(Query()).rows] == [1]
    keep(settings, replace(urgent, key=NEWER, files=("a.dcm", "b.dcm"), received_at=20.0))
    found = worklist.search(Query()).rows
    assert [(row.key, row.urgent, row.superseded_by) for row in found] == [(NEWER, 1, ""), (KEY, 0, NEWER)]
    assert {row.key for row in worklist.revisions(uid_hash(UID))} == {KEY, NEWER}
    shutil.rmtree(settings.results / NEWER)
    worklist.compare()
    assert [(row.key, row.urgent) for row in worklist.search(Query()).rows] == [(KEY, 1)]


def test_an_index_that_is_empty_is_filled(worklist: Worklist, settings: Settings) -> None:
    for number in range(60):
        keep(settings, replace(RECEIVED, key=f"{number:032x}-{'0' * 16}", received_at=float(number)))
    shutil.rmtree(settings.results / CHANGED)
    (settings.results / "no study").mkdir()
    (settings.results / ("f" * 32 + "-" + "f" * 16)).mkdir()
    assert worklist.turn() == (0, False)
    assert worklist.compare() == 60
    assert worklist.search(Query()).total == 60
    assert worklist.turn()[1] is True
    turn = worklist.turn()
    assert (worklist.compare(), worklist.turn()) == (0, turn)


def test_an_index_that_is_behind_is_mended(worklist: Worklist, settings: Settings) -> None:
    keep(settings, RECEIVED)
    keep(settings, replace(RECEIVED, key=NEWER))
    assert worklist.search(Query()).total == 2
    outcomes.record(settings.results / KEY, lambda _: PUBLISHED)
    shutil.rmtree(settings.results / NEWER)
    shutil.rmtree(settings.results / CHANGED)
    assert listed(worklist) == [(NEWER, "received"), (KEY, "received")]
    assert worklist.compare() == 2
    assert listed(worklist) == [(KEY, "processing")]


def test_a_study_is_not_touched_by_an_index_that_cannot_be_written(worklist: Worklist, settings: Settings) -> None:
    keep(settings, RECEIVED)
    METADATA.drop_all(worklist.engine)
    with pytest.raises(Retryable, match="python -m app migrate"):
        worklist.search(Query())
    outcomes.record(settings.results / KEY, lambda _: PUBLISHED)
    watch = Watch(worklist)
    with capture_logs() as logs:
        for _ in range(3):
            watch.look()
            watch.compare()
    assert [each["event"] for each in logs] == ["worklist_behind"]
    assert not watch.running
    with_tables(settings).dispose()
    watch.look()
    assert watch.running
    assert listed(worklist) == [(KEY, "processing")]


def test_a_study_is_not_touched_where_the_index_cannot_be_told(worklist: Worklist, settings: Settings) -> None:
    settings.results.mkdir()
    (settings.results / CHANGED).write_text("in the way")
    with capture_logs() as logs:
        keep(settings, RECEIVED)
    assert [each["event"] for each in logs] == ["index_not_told"]
    assert worklist.compare() == 1
    (settings.results / CHANGED).unlink()
    assert listed(worklist) == [(KEY, "received")]


def test_a_mark_that_is_no_study_is_put_away(worklist: Worklist, settings: Settings) -> None:
    (settings.results / CHANGED).mkdir(parents=True)
    (settings.results / CHANGED / "..odd").touch()
    assert (worklist.catch_up(), worklist.catch_up()) == (1, 0)


def test_errors_of_the_database_do_not_quote_patients(worklist: Worklist, settings: Settings) -> None:
    with worklist.engine.begin() as connection, pytest.raises(sa.exc.IntegrityError) as error:
        connection.execute(
            sa.text("INSERT INTO vigil_worklist (key, patient_name) VALUES (:key, :name)"), {"key": "k", "name": "Doe"}
        )
    assert "Doe" not in str(error.value)


def test_the_watch_tells_of_changes_of_others(worklist: Worklist, settings: Settings) -> None:
    watch = Watch(worklist)
    watch.look()
    before = watch.turn
    keep(settings, RECEIVED)
    other = Worklist(settings, worklist.engine)
    other.catch_up()
    watch.look()
    assert watch.turn == before + 1
    os.utime(settings.results / KEY / OUTCOME, (1, 1))
    watch.compare()
    watch.look()
    assert watch.turn > before + 1
