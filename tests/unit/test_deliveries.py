"""What has not reached its destination is listed with its reason and what to do, for people and for machines."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from app import outcomes
from app.__main__ import main
from app.breakers import Breakers, file_of
from app.deliveries import Delivery, Standing, undelivered
from app.destinations import DicomDestination
from app.documents import Receipt, Waiting
from app.errors import Retryable
from app.outcomes import StudyOutcome
from app.settings import Settings
from tests.unit.test_outcomes import DELIVERED, KEY, PUBLISHED, REFUSED, SR, TO_PACS, UID
from tests.unit.test_revisions import NEW, OLD, SENT

WAITING = Waiting(
    "pacs", SR.path.name, 2, "pacs: no connection", until=time.time() + 86400
)  # a suite may take an hour until it comes here


def listed(folder: Path, *known: StudyOutcome) -> tuple[Delivery, ...]:
    for each in known:
        outcomes.begin(folder, each)
    return undelivered(Settings(results=folder))


def test_nothing_is_listed_of_what_was_delivered(tmp_path: Path) -> None:
    assert listed(tmp_path / "missing") == ()
    assert listed(tmp_path, outcomes.with_receipt(PUBLISHED, DELIVERED)) == ()


@pytest.mark.parametrize(
    ("known", "standing", "attempts", "advice"),
    [
        (outcomes.with_receipt(PUBLISHED, REFUSED), Standing.DEAD_LETTER, 5, f"replay {KEY} --destination pacs"),
        (outcomes.with_waiting(PUBLISHED, WAITING), Standing.WAITING, 2, "by itself"),
        (
            outcomes.with_waiting(PUBLISHED, replace(WAITING, transactions=("2.25.1",), asked_at=1.0)),
            Standing.AWAITING_COMMITMENT,
            2,
            "by itself",
        ),
        (outcomes.with_waiting(PUBLISHED, replace(WAITING, until=1.0)), Standing.WAITING, 2, "no worker looks at it"),
        (PUBLISHED, Standing.UNDER_WAY, 0, "while a worker runs"),
        (
            replace(PUBLISHED, documents=(replace(SR, problem="strange tag"),), shipments=()),
            Standing.NEVER_MADE,
            0,
            "the log says more",
        ),
    ],
)
def test_each_says_where_it_stands(
    known: StudyOutcome, standing: Standing, attempts: int, advice: str, tmp_path: Path
) -> None:
    (row,) = listed(tmp_path, known)
    assert (row.study, row.document, row.standing, row.attempts) == (KEY, SR.path.name, standing, attempts)
    assert row.reason
    assert advice in row.advice


def test_what_a_newer_revision_stands_for_is_no_dead_letter(tmp_path: Path) -> None:
    dead = Receipt("pacs", "0.sr.dcm", delivered=False, attempts=5, detail="given up")
    (row,) = listed(tmp_path, outcomes.with_receipt(OLD, dead))
    assert row.standing is Standing.DEAD_LETTER
    assert listed(tmp_path, outcomes.with_receipt(NEW, SENT)) == ()


def test_a_damaged_study_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / outcomes.OUTCOME).write_text("{")
    assert len(listed(tmp_path, outcomes.with_receipt(PUBLISHED, REFUSED))) == 1


def run(folder: Path, *arguments: str) -> int:
    config = folder / "vigil.yaml"
    config.write_text(yaml.safe_dump({"results": str(folder / "results"), "run": str(folder / "run")}))
    with pytest.raises(SystemExit) as exit_:
        main(["deliveries", "--config", str(config), *arguments])
    return int(exit_.value.code or 0)


def test_the_command_shows_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    assert "Everything is delivered." in capsys.readouterr().out
    outcomes.begin(tmp_path / "results", outcomes.with_waiting(PUBLISHED, WAITING))
    peer = DicomDestination(name="pacs", host="h", port=1, ae_title="PACS", breaker_after=1)
    with pytest.raises(Retryable), Breakers(file_of(tmp_path / "run", "w1")).passage(peer, urgent=False):
        raise Retryable("down")
    assert run(tmp_path) == 0
    shown = capsys.readouterr().out
    assert "pacs is left alone: 1 failure, tried again" in shown
    assert all(word in shown for word in (KEY, "waiting", "pacs: no connection"))
    outcomes.begin(
        tmp_path / "results", replace(outcomes.with_receipt(PUBLISHED, REFUSED), key=f"{'0' * 32}-{'1' * 16}")
    )
    assert run(tmp_path) == 1
    shown = capsys.readouterr().out
    assert "dead letter" in shown
    command = f"python -m app replay {'0' * 32}-{'1' * 16} --destination pacs --config FILE"
    assert any(line.endswith(command) for line in shown.splitlines())  # in one piece, to be copied


def test_the_command_speaks_json_without_naming_the_patient_or_the_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes.begin(tmp_path / "results", outcomes.with_receipt(PUBLISHED, REFUSED))
    assert run(tmp_path, "--json") == 1
    text = capsys.readouterr().out
    (row,) = json.loads(text)
    assert (row["study"], row["destination"], row["standing"]) == (KEY, TO_PACS.destination, "dead letter")
    assert f'"{UID}"' not in text
