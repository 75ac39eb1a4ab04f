"""What is not finished, as numbers: from outcomes on disk, read again where they change."""

import os
import time
from dataclasses import replace
from pathlib import Path

from app import outcomes
from app.backlog import BacklogReader, age_s
from app.documents import Waiting
from app.outcomes import OUTCOME, StudyOutcome
from tests.unit.test_outcomes import DELIVERED, KEY, PUBLISHED, REFUSED, SR
from tests.unit.test_revisions import NEW, OLD

WAITING = Waiting("pacs", SR.path.name, 2, "pacs: no connection", until=time.time() + 60)
COMMITTING = replace(WAITING, transactions=("2.25.1",), asked_at=time.time())


def urgent(outcome: StudyOutcome) -> StudyOutcome:
    """The same, flagged for early reading by a finding that is present and urgent."""
    (report,) = outcome.reports
    (first, *others) = report.findings
    return replace(
        outcome,
        reports=(replace(report, findings=(replace(first, urgent=True), *others)),),
        documents=tuple(replace(each, series_uid=report.series_uid) for each in outcome.documents),
    )


def test_an_empty_installation_has_nothing_unfinished(tmp_path: Path) -> None:
    found = BacklogReader(tmp_path / "missing").look()
    assert (found.waiting, found.dead_letters, found.unfinished, found.unread_since) == ({}, {}, 0, None)


def test_a_document_counts_where_it_stands(tmp_path: Path) -> None:
    reader = BacklogReader(tmp_path)
    outcomes.begin(tmp_path, PUBLISHED)
    found = reader.look()
    assert (found.waiting, found.waiting_since) == ({"pacs": 1}, {"pacs": PUBLISHED.received_at})
    assert (found.unfinished, found.unread_since, found.commitments) == (1, None, {})

    outcomes.record(tmp_path / KEY, lambda known: outcomes.with_waiting(known, COMMITTING))
    assert reader.look().commitments == {"pacs": 1}

    outcomes.record(tmp_path / KEY, lambda known: outcomes.with_receipt(known, REFUSED))
    found = reader.look()
    assert (found.waiting, found.dead_letters, found.unfinished) == ({}, {"pacs": 1}, 0)

    outcomes.record(tmp_path / KEY, lambda known: outcomes.with_receipt(known, DELIVERED))
    found = reader.look()
    assert (found.waiting, found.dead_letters) == ({}, {})


def test_a_study_that_was_received_waits_for_its_reports(tmp_path: Path) -> None:
    outcomes.begin(tmp_path, StudyOutcome(KEY, received_at=1000.0))
    found = BacklogReader(tmp_path).look()
    assert (found.unfinished, found.unread_since) == (1, 1000.0)


def test_what_a_newer_revision_stands_for_is_not_missed(tmp_path: Path) -> None:
    refused = outcomes.with_receipt(OLD, replace(REFUSED, document=OLD.shipments[0].document))
    assert BacklogReader(_with(tmp_path / "alone", refused)).look().dead_letters == {"pacs": 1}
    both = BacklogReader(_with(tmp_path / "both", refused, NEW)).look()
    assert (both.dead_letters, both.waiting) == ({}, {"pacs": 1})


def test_an_urgent_report_counts_until_somebody_has_it(tmp_path: Path) -> None:
    reader = BacklogReader(tmp_path)
    outcomes.begin(tmp_path, urgent(PUBLISHED))
    assert reader.look().urgent_since == PUBLISHED.received_at
    outcomes.record(tmp_path / KEY, lambda known: outcomes.with_receipt(known, REFUSED))
    assert reader.look().urgent_since == PUBLISHED.received_at, "a dead letter has reached nobody"
    outcomes.record(tmp_path / KEY, lambda known: outcomes.with_receipt(known, DELIVERED))
    assert reader.look().urgent_since is None


def test_a_report_without_urgency_does_not_alarm(tmp_path: Path) -> None:
    assert BacklogReader(_with(tmp_path, PUBLISHED)).look().urgent_since is None


def test_a_damaged_outcome_is_counted_and_hides_no_other(tmp_path: Path) -> None:
    _with(tmp_path, PUBLISHED)
    broken = tmp_path / f"{'0' * 32}-{'0' * 16}"
    broken.mkdir()
    (broken / OUTCOME).write_text("{")
    reader = BacklogReader(tmp_path)
    found = reader.look()
    assert (found.damaged, found.waiting) == (1, {"pacs": 1})
    assert reader.look().damaged == 1, "it stays damaged without being read again"
    (broken / OUTCOME).unlink()
    assert reader.look().damaged == 0


def test_what_is_finished_is_not_read_again(tmp_path: Path) -> None:
    reader = BacklogReader(_with(tmp_path, outcomes.with_receipt(PUBLISHED, DELIVERED)))
    reader.look()
    file = tmp_path / KEY / OUTCOME
    changed = file.stat().st_mtime_ns
    file.write_text("{")
    os.utime(file, ns=(changed, changed))
    assert reader.look().damaged == 0
    os.utime(file, ns=(changed + 1, changed + 1))
    assert reader.look().damaged == 1


def test_ages_are_never_negative() -> None:
    assert age_s(None) == 0
    assert age_s(time.time() + 100) == 0
    assert 9 < age_s(time.time() - 10) < 100


def _with(folder: Path, *known: StudyOutcome) -> Path:
    for each in known:
        outcomes.begin(folder, each)
    return folder
