"""`replay --since`: every study of a time goes out once more, the oldest first, each told with what came of it."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app import outcomes, workflow_delivery
from app.cli.replay import IN_VAIN, instant, replay_with_table
from app.demo.pacs import Pacs
from app.destinations import DicomDestination
from app.documents import Document
from app.errors import Rejected
from app.outcomes import Shipment, StudyOutcome
from app.report import encode
from app.settings import Settings
from app.study import uid_hash
from tests.unit.report.factory import MADE_AT
from tests.unit.report.radiographs import chest_report, chest_study
from tests.unit.test_outcomes import PUBLISHED

DAY = 1_700_006_400.0  # 2023-11-15T00:00 UTC
HOUR = 3600.0


@pytest.fixture
def sr(tmp_path: Path) -> Document:
    return encode(chest_report(), chest_study(tmp_path / "study"), tmp_path / "out", made_at=MADE_AT)[0]


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Pacs]:
    with Pacs(tmp_path / "pacs") as running:
        yield running


def installation(folder: Path, port: int) -> Settings:
    peer = DicomDestination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", timeout_s=10)
    return Settings(results=folder / "results", run=folder / "run", destinations=(peer,))


def received(settings: Settings, sr: Document, number: int, at: float) -> StudyOutcome:
    """A finished study with one document."""
    uid = f"1.2.3.{number}"
    shipments = (Shipment(sr.path.name, "pacs"),)
    known = replace(
        PUBLISHED,
        key=f"{uid_hash(uid)}-{'0' * 16}",
        study_uid=uid,
        documents=(sr,),
        shipments=shipments,
        received_at=at,
    )
    return outcomes.begin(settings.results, known)


def of_time(settings: Settings, since: str, until: str | None = None, destination: str | None = "pacs") -> int:
    return replay_with_table(settings, None, destination, since=since, until=until, even_superseded=False)


def test_every_study_of_a_day_is_sent_and_none_of_another(
    tmp_path: Path, sr: Document, pacs: Pacs, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation(tmp_path, pacs.port)
    times = (DAY - 1, DAY, DAY + 12 * HOUR, DAY + 24 * HOUR - 1, DAY + 24 * HOUR)
    keys = [received(settings, sr, number, at).key for number, at in enumerate(times)]
    assert of_time(settings, "2023-11-15", "2023-11-16") == 0
    assert len(pacs.arrived) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "[info " not in line]
    assert lines == [*(f"{key}: 1 of 1 documents" for key in keys[1:4]), "3 of 3 studies were taken"]


def test_a_destination_that_takes_nothing_ends_it_and_says_where_to_go_on(
    tmp_path: Path, sr: Document, pacs: Pacs, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation(tmp_path, 1)
    for number in range(IN_VAIN + 2):
        received(settings, sr, number, DAY + number * HOUR + 0.5)
    assert of_time(settings, "2023-11-15") == 1
    told = capsys.readouterr().out
    assert told.count("0 of 1 documents; pacs: ") == IN_VAIN
    assert "--since 2023-11-15T00:00:00\n" in told
    assert f"0 of {IN_VAIN + 2} studies were taken" in told
    assert of_time(installation(tmp_path, pacs.port), "2023-11-15T00:00:00") == 0
    assert len(pacs.arrived) == IN_VAIN + 2


def test_a_damaged_outcome_holds_back_no_other_study(
    tmp_path: Path, sr: Document, pacs: Pacs, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation(tmp_path, pacs.port)
    keys = [received(settings, sr, number, DAY + number).key for number in range(3)]
    (settings.results / keys[1] / outcomes.OUTCOME).write_text("{")
    with capture_logs() as logs:
        assert of_time(settings, "2023-11-15") == 1
    assert len(pacs.arrived) == 2
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("2 of 2 studies were taken; 1 that may be of that time cannot be read")
    assert [each["study"] for each in logs if each["event"] == "outcome_damaged"] == [keys[1][:12]]


def test_a_damaged_outcome_from_before_the_time_is_none_of_it(
    tmp_path: Path, sr: Document, pacs: Pacs, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation(tmp_path, pacs.port)
    old = settings.results / received(settings, sr, 1, DAY - HOUR).key / outcomes.OUTCOME
    old.write_text("{")
    os.utime(old, (DAY - HOUR, DAY - HOUR))
    assert of_time(settings, "2023-11-15") == 0
    assert "no study of that time has a document\n" in capsys.readouterr().out


def test_what_cannot_be_written_down_ends_it_with_a_line_like_any_other(
    tmp_path: Path, sr: Document, pacs: Pacs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation(tmp_path, pacs.port)
    for number in range(IN_VAIN + 1):
        received(settings, sr, number, DAY + number)

    def full(folder: Path, outcome: StudyOutcome) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outcomes, "_write", full)
    assert of_time(settings, "2023-11-15") == 1
    told = capsys.readouterr().out
    assert told.count("No space left on device; make room") == IN_VAIN
    assert f"stopped: {IN_VAIN} studies in a row were not taken" in told
    assert "--since 2023-11-15T00:00:00\n" in told


def test_a_study_that_is_removed_meanwhile_ends_no_other(
    tmp_path: Path, sr: Document, pacs: Pacs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation(tmp_path, pacs.port)
    keys = [received(settings, sr, number, DAY + number).key for number in range(2)]
    sending = workflow_delivery.sending

    def late(results: Path, known: StudyOutcome, destination: str) -> AbstractContextManager[tuple[StudyOutcome, ...]]:
        if known.key == keys[0]:
            shutil.rmtree(results / known.key)
        return sending(results, known, destination)

    monkeypatch.setattr(workflow_delivery, "sending", late)
    assert of_time(settings, "2023-11-15") == 1
    assert len(pacs.arrived) == 1
    told = capsys.readouterr().out
    assert "is missing; send the study again" in told
    assert "1 of 2 studies were taken" in told


def test_a_time_without_studies_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert of_time(installation(tmp_path, 1), "2023-11-15") == 0
    assert "no study of that time has a document" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"study": None, "since": None}, "give the key of a study, or --since"),
        ({"study": "1.2", "since": "2023-11-15"}, "give the key of a study, or --since"),
        ({"study": "1.2", "since": None, "until": "2023-11-15"}, "--until belongs to --since"),
        ({"study": None, "since": "2023-11-15", "even_superseded": True}, "--force is for one study"),
        ({"study": None, "since": "2023-11-15", "until": "2023-11-15"}, "--until is not after --since"),
        ({"study": None, "since": "yesterday"}, "'yesterday' is no time; write 2026-11-20"),
        ({"study": None, "since": "2023-11-15", "destination": "pasc"}, "did you mean 'pacs'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    given = {"destination": None, "until": None, "even_superseded": False, **arguments}
    with pytest.raises(Rejected, match=words):
        replay_with_table(installation(tmp_path, 1), given.pop("study"), given.pop("destination"), **given)  # type: ignore[arg-type]


def test_a_moment_without_a_zone_is_utc() -> None:
    assert instant("2023-11-15", "--since") == DAY
    assert instant("2023-11-15T13:00", "--since") == instant("2023-11-15T14:00+01:00", "--since") == DAY + 13 * HOUR
