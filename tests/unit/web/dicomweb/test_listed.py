"""Searches for studies: from the index what the headers say, read once, and nothing left of what is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import outcomes
from app.outcomes import StudyOutcome
from app.settings import Settings
from app.study import revision_of, uid_hash
from app.tables import asking
from app.web.dicomweb.attributes import Level
from app.web.dicomweb.holdings import Holdings
from app.web.dicomweb.listed import Listed
from app.web.dicomweb.query import parse
from app.web.dicomweb.search import Scope, search
from app.workflow_database import open_engine
from app.worklist import Worklist
from app.worklist_table import TOLD, remove
from app.worklist_told import keep
from tests.unit.receive.objects import make_object, to_file
from tests.unit.web.study.received import settings_in, spooled
from tests.unit.worklist_cases import with_tables

PEOPLE = {
    "1.2.1": {"PatientID": "P-1", "PatientName": "Doe^Jane", "AccessionNumber": "A1", "StudyDate": "20261101"},
    "1.2.2": {
        "PatientID": "P-2",
        "PatientName": "Yamada^Tarou=山田^太郎",
        "StudyDate": "20261115",
        "PatientAge": "040Y",
    },
    "1.2.3": {"PatientID": "P-1", "PatientName": "", "AccessionNumber": "a 3*", "StudyDate": ""},
}
QUERIES = (
    "",
    "PatientID=P-1",
    "PatientID=P-*",
    "PatientName=doe*",
    "AccessionNumber=A1",
    "AccessionNumber=a 3*",
    "StudyDate=20261101-20261110",
    "StudyDate=20261115",
    "StudyDate=-20261130",
    "ModalitiesInStudy=MR",
    "PatientID=P-2&includefield=all",
    "PatientID=P-2&includefield=PatientAge",
    "PatientID=nobody",
    "limit=1&offset=1",
)


def arrive(settings: Settings, folder: Path, uid: str, sop: str, **elements: object) -> None:
    """An image in the spool, and the revision that all images of its study make."""
    path = folder / f"{sop}.dcm"
    path.write_bytes(to_file(make_object(uid, sop, SeriesInstanceUID=f"{uid}.9", **PEOPLE[uid], **elements)))
    (stored,) = spooled(settings, [path])
    files = tuple(sorted(stored.parent.iterdir()))
    key = f"{uid_hash(uid)}-{revision_of(files)}"
    names = tuple(each.name for each in files)
    outcomes.begin(settings.results, StudyOutcome(key, 1000.0, files=names, study_uid=uid))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = settings_in(tmp_path)
    (tmp_path / "in").mkdir()
    for uid in PEOPLE:
        for number in range(2):
            arrive(made, tmp_path / "in", uid, f"{uid}.{number + 1}", Modality="MR" if uid == "1.2.2" else "CT")
    return made


@pytest.fixture
def worklist(settings: Settings) -> Iterator[Worklist]:
    engine = with_tables(settings)
    made = Worklist(settings, engine)
    made.compare()
    yield made
    engine.dispose()


def found(listed: Listed, query: str) -> list[dict[str, object]]:
    pairs = [tuple(each.split("=", 1)) for each in query.split("&") if each]
    return search(listed, Level.STUDY, Scope(), parse(pairs, Level.STUDY), "")[0]  # type: ignore[arg-type]


def uid_of(study: dict[str, object]) -> str:
    return str(study["0020000D"]["Value"][0])  # type: ignore[index]


@pytest.mark.parametrize("query", QUERIES)
def test_the_index_answers_what_the_headers_say_and_they_are_read_once(
    query: str, settings: Settings, worklist: Worklist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = Worklist(settings, open_engine(settings.database.model_copy(update={"url": f"sqlite:///{tmp_path}/no"})))
    expected = found(Listed(Holdings(settings, without)), query)
    without.engine.dispose()
    first = found(Listed(Holdings(settings, worklist)), query)
    if "limit" in query:
        assert len(first) == len(expected) == 1
    else:
        assert sorted(first, key=uid_of) == sorted(expected, key=uid_of)
        assert (first == []) == (query == "PatientID=nobody")
    again = Listed(Holdings(settings, worklist))
    for uid in map(uid_of, first):
        monkeypatch.setattr(Holdings, "of_key", lambda self, key, uid=uid: pytest.fail(f"{uid} was read again"))
    assert found(again, query) == first


def test_an_image_more_is_counted_at_once(settings: Settings, worklist: Worklist, tmp_path: Path) -> None:
    def counted() -> dict[str, tuple[object, object]]:
        told = {uid_of(each): each for each in found(Listed(Holdings(settings, worklist)), "")}
        return {uid: (each["00201208"]["Value"], each["00080061"]["Value"]) for uid, each in told.items()}  # type: ignore[index]

    assert counted() == {"1.2.1": ([2], ["CT"]), "1.2.2": ([2], ["MR"]), "1.2.3": ([2], ["CT"])}
    arrive(settings, tmp_path / "in", "1.2.1", "1.2.1.7", Modality="PT")
    assert counted() == {"1.2.1": ([3], ["CT", "PT"]), "1.2.2": ([2], ["MR"]), "1.2.3": ([2], ["CT"])}


def test_the_newest_change_comes_first_and_a_study_of_two_revisions_once(
    settings: Settings, worklist: Worklist, tmp_path: Path
) -> None:
    arrive(settings, tmp_path / "in", "1.2.1", "1.2.1.7", Modality="CT")
    listed = [uid_of(each) for each in found(Listed(Holdings(settings, worklist)), "")]
    assert listed == ["1.2.1", "1.2.3", "1.2.2"]


def test_nothing_is_kept_of_a_study_that_is_gone(settings: Settings, worklist: Worklist) -> None:
    def kept() -> set[str]:
        with asking(worklist.engine) as connection:
            return set(connection.scalars(sa.select(TOLD.c.study)))

    found(Listed(Holdings(settings, worklist)), "")
    assert kept() == {uid_hash(uid) for uid in PEOPLE}
    with asking(worklist.engine) as connection:
        remove(connection, [path.name for path in settings.results.glob(f"{uid_hash('1.2.1')}-*")])
    assert kept() == {uid_hash("1.2.2"), uid_hash("1.2.3")}
    with asking(worklist.engine) as connection:
        # Somebody who was about to keep it comes too late.
        keep(connection, {uid_hash("1.2.1"): ("s", "{}"), uid_hash("1.2.2"): ("s", "{}")})
    assert kept() == {uid_hash("1.2.2"), uid_hash("1.2.3")}
    with asking(worklist.engine) as connection:
        connection.execute(sa.insert(TOLD).values(study="0" * 32, stamp="s", told="{}"))
    worklist.compare()
    assert kept() == {uid_hash(uid) for uid in ("1.2.2", "1.2.3")}
