import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from app.documents import DocumentKind
from app.findings import FINDING_KINDS, OUTCOME_CODES, PRESENCE_CODES, Finding, Outcome, Presence, Report
from app.report import encode
from app.study import Study
from tests.unit.report.dump import dump
from tests.unit.report.factory import MADE_AT, PHANTOM, instance_uid, make_report

CASES = {
    "present": make_report(),
    "absent": make_report(Presence.ABSENT),
    "failed": make_report(outcome=Outcome.FAILED),
    "partial": make_report(outcome=Outcome.PARTIAL, reason="2 of 4 slices could not be decoded"),
}


def structured_report(report: Report, study: Study, folder: Path) -> Dataset:
    document = encode(report, study, folder, made_at=MADE_AT)[0]
    assert (document.kind, document.problem) == (DocumentKind.SR, "")
    return dcmread(document.path)


def codes(item: Dataset, attribute: str) -> list[tuple[str, str, str]]:
    found = [(c.CodeValue, c.CodingSchemeDesignator, c.CodeMeaning) for c in item.get(attribute, ())]
    return found + [code for child in item.get("ContentSequence", ()) for code in codes(child, attribute)]


@pytest.mark.parametrize("case", CASES)
def test_reads_as_the_golden_document(case: str, study: Study, tmp_path: Path, root: Path) -> None:
    """REGEN_GOLDEN=1 writes the golden documents anew; look at the difference before committing it."""
    text = dump(structured_report(CASES[case], study, tmp_path / "out"))
    golden = root / "tests" / "golden" / f"sr_{case}.txt"
    if os.environ.get("REGEN_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.SUCCEEDED])
def test_is_never_absent_after_a_failure(outcome: Outcome, study: Study, tmp_path: Path) -> None:
    """Not even where the stage before got it wrong."""
    wrong = replace(make_report(Presence.ABSENT), outcome=outcome, reason="out of memory")
    values = codes(structured_report(wrong, study, tmp_path), "ConceptCodeSequence")
    answers = {(c.value, c.scheme, c.meaning): presence for presence, c in PRESENCE_CODES.items()}
    assert {answers[value] for value in values if value in answers} == {Presence.UNDETERMINED}


def test_finding_codes_come_from_the_table_with_their_site(study: Study, tmp_path: Path) -> None:
    every = tuple(Finding(kind, Presence.ABSENT, certainty=0.1, threshold=0.5) for kind in FINDING_KINDS)
    values = codes(structured_report(make_report(findings=every), study, tmp_path), "ConceptCodeSequence")
    table = [c for kind in FINDING_KINDS.values() for c in (kind.code, kind.site) if c]
    assert [value for value in values if value in {(c.value, c.scheme, c.meaning) for c in table}] == [
        (c.value, c.scheme, c.meaning) for c in table
    ]


def test_says_how_the_analysis_ended(study: Study, tmp_path: Path) -> None:
    for outcome, code in OUTCOME_CODES.items():
        report = structured_report(make_report(outcome=outcome), study, tmp_path)
        assert (code.value, code.scheme, code.meaning) in codes(report, "ConceptCodeSequence")


def test_refers_to_every_image_of_the_series_as_evidence(study: Study, tmp_path: Path) -> None:
    report = structured_report(CASES["failed"], study, tmp_path)
    (item,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = item.ReferencedSeriesSequence
    assert [i.ReferencedSOPInstanceUID for i in series.ReferencedSOPSequence] == [instance_uid(i) for i in range(4)]


def test_a_cleared_algorithm_carries_no_research_mark(study: Study, tmp_path: Path) -> None:
    cleared = replace(PHANTOM, status="cleared", training_data="CQ500")
    report = structured_report(make_report(algorithm=cleared), study, tmp_path)
    assert ("RESEARCH" in dump(report), report.SeriesDescription) == (False, PHANTOM.title)


def test_notes_outside_ascii_do_not_disturb_the_character_set(study: Study, tmp_path: Path) -> None:
    text = dump(structured_report(make_report(notes=("tilt 18.5° ≥ 5°, 山",)), study, tmp_path))
    assert "Note: tilt 18.5 deg >= 5 deg, ?" in text


def test_a_series_without_geometry_gets_a_report_too(study: Study, tmp_path: Path) -> None:
    flat = replace(study, series=(replace(study.series[0], geometry=None, modality="XX"),))
    assert structured_report(CASES["failed"], flat, tmp_path).Modality == "SR"
