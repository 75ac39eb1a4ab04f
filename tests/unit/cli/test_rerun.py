"""The command `rerun`: asks once, prints the new key, says why not, and who asked is written down."""

from pathlib import Path

import pytest

from app import reruns
from app.assignment import Decision
from app.outcomes import StudyOutcome
from app.settings import load
from tests.unit.cli.test_commands import run, write_settings
from tests.unit.report.factory import STUDY_UID, make_study
from tests.unit.web.study.received import begun, spooled


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path, audit={"file": str(tmp_path / "audit.log")})


@pytest.fixture
def known(config: Path, tmp_path: Path) -> StudyOutcome:
    settings = load(config)
    make_study(tmp_path / "in")
    files = spooled(settings, sorted((tmp_path / "in").glob("*.dcm")))
    return begun(settings, files, study_uid=STUDY_UID, decision=Decision((), ()))[0]


@pytest.mark.parametrize("by_uid", [False, True])
def test_prints_the_key_of_the_new_revision(
    by_uid: bool, config: Path, known: StudyOutcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("rerun", STUDY_UID if by_uid else known.key, "--config", str(config)) == 0
    printed = capsys.readouterr().out
    (asked,) = (tmp_path / "results" / reruns.FOLDER).glob("*.json")
    assert printed == f"{asked.stem}: run 2 of {known.key}; a worker begins it within moments\n"
    assert (tmp_path / "results" / asked.stem / "outcome.json").is_file()
    audit = (tmp_path / "audit.log").read_text()
    assert audit.count("another analysis was asked for") == 1
    assert STUDY_UID in audit


def test_a_second_time_is_refused_with_the_key_to_ask_for(
    config: Path, known: StudyOutcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("rerun", known.key, "--config", str(config)) == 0
    assert run("rerun", known.key, "--config", str(config)) == 2
    told = capsys.readouterr().err
    assert "newer revision" in told
    assert STUDY_UID not in told
    assert len(list((tmp_path / "results" / reruns.FOLDER).glob("*.json"))) == 1


def test_of_an_unknown_study_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rerun", "1.2.3", "--config", str(config)) == 2
    assert "no study of that key" in capsys.readouterr().err
