import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from structlog.testing import capture_logs

from app.documents import DocumentKind
from app.errors import Retryable
from app.findings import Outcome, Presence
from app.report import encode
from app.study import Study
from tests.unit.report.factory import MADE_AT, PHANTOM, make_report, make_study


def test_makes_an_sr_a_key_image_and_json(study: Study, tmp_path: Path) -> None:
    documents = encode(make_report(), study, tmp_path / "out", made_at=MADE_AT)
    assert [(d.kind, d.bundle, d.problem, d.path.exists()) for d in documents] == [
        (DocumentKind.SR, PHANTOM.name, "", True),
        (DocumentKind.KEY_IMAGE, PHANTOM.name, "", True),
        (DocumentKind.JSON, PHANTOM.name, "", True),
    ]
    assert [d.sop_instance_uid for d in documents[:2]] == [dcmread(d.path).SOPInstanceUID for d in documents[:2]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(d.path.name for d in documents)


def test_the_same_report_makes_the_same_bytes(study: Study, tmp_path: Path) -> None:
    one = encode(make_report(), study, tmp_path / "one", made_at=MADE_AT)
    two = encode(make_report(), study, tmp_path / "two", made_at=MADE_AT)
    assert [d.path.read_bytes() for d in one] == [d.path.read_bytes() for d in two]


def test_another_hour_makes_the_same_uids(study: Study, tmp_path: Path) -> None:
    one = encode(make_report(), study, tmp_path / "one", made_at=MADE_AT)
    two = encode(make_report(), study, tmp_path / "two", made_at=MADE_AT + timedelta(hours=1))
    assert [d.sop_instance_uid for d in one] == [d.sop_instance_uid for d in two]


def test_an_undetermined_report_has_no_key_image(study: Study, tmp_path: Path) -> None:
    documents = encode(make_report(outcome=Outcome.FAILED), study, tmp_path)
    assert [d.kind for d in documents] == [DocumentKind.SR, DocumentKind.JSON]


def test_two_series_of_one_study_do_not_share_files(study: Study, tmp_path: Path) -> None:
    twin = replace(study.series[0], uid="1.2.3")
    both = replace(study, series=(*study.series, twin))
    names = [
        document.path.name
        for report in (make_report(), make_report(series_uid="1.2.3"))
        for document in encode(report, both, tmp_path)
    ]
    assert len(set(names)) == 6


def test_a_document_that_cannot_be_made_does_not_lose_the_others(study: Study, tmp_path: Path) -> None:
    """Slices of which only the header can be read."""
    for instance in study.series[0].instances:
        instance.path.write_bytes(instance.path.read_bytes()[:-2000])
    sr, key, as_json = encode(make_report(), study, tmp_path / "out")
    assert ([sr.problem, as_json.problem], key.path.exists()) == (["", ""], False)
    assert key.problem.startswith("no key image: ")


def test_a_problem_and_the_log_tell_nothing_of_the_patient(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers={"PatientID": "SECRET-4711", "PatientName": "Hidden^Person"})
    broken = make_report(findings=(replace(make_report().findings[0], kind="SECRET-4711"),))
    with capture_logs() as logs:
        documents = encode(broken, study, tmp_path / "out")
    assert [bool(d.problem) for d in documents] == [True, False, True]
    text = json.dumps([logs, [d.problem for d in documents]], default=str)
    assert [secret in text for secret in ("SECRET-4711", "Hidden", study.uid)] == [False, False, False]


def test_a_report_on_a_series_the_study_does_not_have(study: Study, tmp_path: Path) -> None:
    sr, _, as_json = encode(make_report(stack=3), study, tmp_path)
    assert ("do not belong together" in sr.problem, as_json.problem) == (True, "")


def test_an_answer_that_is_no_number_is_not_reported(study: Study, tmp_path: Path) -> None:
    finding = replace(make_report().findings[0], certainty=float("nan"))
    documents = encode(make_report(findings=(finding,)), study, tmp_path)
    assert all(document.problem for document in documents)


def test_a_folder_that_cannot_be_written_is_worth_another_try(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(Retryable, match="make room or give write access"):
        encode(make_report(), study, tmp_path / "out")


def test_a_bundle_may_call_itself_what_it_likes(study: Study, tmp_path: Path) -> None:
    odd = replace(PHANTOM, name="../../Läsion / Finder \\ 2" + "x" * 100, version="1" * 80, title="T" * 100)
    documents = encode(make_report(Presence.ABSENT, algorithm=odd), study, tmp_path / "out")
    assert [(d.problem, d.path.parent) for d in documents] == [("", tmp_path / "out")] * 3
