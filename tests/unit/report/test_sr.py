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
from tests.unit.report.radiographs import (
    CHEST,
    chest_report,
    chest_study,
    image_uid,
    wrist_failed,
    wrist_report,
    wrist_study,
)
from tests.unit.report.volumes import lesion_report

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


RADIOGRAPHS = {
    "chest": (chest_study, chest_report()),
    "wrist": (wrist_study, wrist_report()),
    "wrist_partial": (wrist_study, wrist_failed()),
}


@pytest.mark.parametrize("case", [*CASES, *RADIOGRAPHS])
def test_reads_as_the_golden_document(case: str, study: Study, tmp_path: Path, root: Path) -> None:
    """REGEN_GOLDEN=1 writes the golden documents anew; look at the difference before committing it."""
    make, report = RADIOGRAPHS.get(case, (lambda _: study, CASES.get(case)))
    assert report is not None
    compare(dump(structured_report(report, make(tmp_path / "radiographs"), tmp_path / "out")), case, root)


def test_reads_as_the_golden_document_of_lesions(study: Study, tmp_path: Path, root: Path) -> None:
    compare(dump(structured_report(lesion_report(study, tmp_path), study, tmp_path)), "lesions", root)


def compare(text: str, case: str, root: Path) -> None:
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


def regions(document: Dataset) -> list[Dataset]:
    """The groups of TID 1410."""
    measurements = next(item for item in document.ContentSequence if "ContentSequence" in item and _is(item, "126010"))
    return [g for g in measurements.ContentSequence if g.ContentTemplateSequence[0].TemplateIdentifier == "1410"]


def _is(item: Dataset, concept: str) -> bool:
    return bool(item.ConceptNameCodeSequence[0].CodeValue == concept)


def test_every_image_of_every_stack_is_evidence_and_in_the_library(tmp_path: Path) -> None:
    report = structured_report(wrist_report(), wrist_study(tmp_path / "study"), tmp_path)
    (item,) = report.CurrentRequestedProcedureEvidenceSequence
    evidence = [i.ReferencedSOPInstanceUID for s in item.ReferencedSeriesSequence for i in s.ReferencedSOPSequence]
    assert evidence == [image_uid(1), image_uid(2)]
    assert dump(report).count('IMAGE (260753009, SCT, "Source") = ') == len(evidence) + len(regions(report))


def test_no_reader_takes_attention_for_a_finding_or_a_measurement(tmp_path: Path) -> None:
    (group,) = regions(structured_report(wrist_report(), wrist_study(tmp_path / "study"), tmp_path))
    assert {item.ValueType for item in group.ContentSequence} == {"TEXT", "UIDREF", "CODE", "SCOORD"}
    named = [item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence]
    assert {"Finding", "Finding Site", "Presence of property", "Certainty of Finding"} & set(named) == set()


def test_regions_of_a_finding_that_is_not_present_are_not_told(tmp_path: Path) -> None:
    lesion, air = chest_report().findings
    report = chest_report(findings=(replace(lesion, presence=Presence.ABSENT), air))
    found = regions(structured_report(report, chest_study(tmp_path / "study"), tmp_path))
    assert [codes(group, "ConceptCodeSequence")[0][2] for group in found] == ["Pneumothorax"]


def test_a_region_names_its_frame_where_there_are_several(tmp_path: Path) -> None:
    study = chest_study(tmp_path / "study")
    (series,) = study.series
    several = replace(series, instances=(replace(series.instances[0], frames=3),))
    lesion, air = chest_report().findings
    third = replace(lesion, regions=(replace(lesion.regions[0], frame=3),))
    report = structured_report(chest_report(findings=(third, air)), replace(study, series=(several,)), tmp_path)
    assert [f"{image_uid(1)}, frame {n}" in dump(group) for group, n in zip(regions(report), (3, 1), strict=True)]


@pytest.mark.parametrize(
    "box", [(5.0, 5.0, 5.0, 9.0), (-1.0, 0.0, 4.0, 4.0), (9.0, 1.0, 4.0, 4.0), (0.0, 0.0, float("nan"), 1.0)]
)
def test_a_region_without_area_is_not_reported(box: tuple[float, float, float, float], tmp_path: Path) -> None:
    lesion, _ = chest_report().findings
    wrong = replace(lesion, regions=(replace(lesion.regions[0], box=box),))
    document = encode(chest_report(findings=(wrong,)), chest_study(tmp_path / "study"), tmp_path / "out")[0]
    assert document.problem.startswith("ValueError at regions.py")


def test_the_tracking_of_regions_differs_and_stays(tmp_path: Path) -> None:
    study = chest_study(tmp_path / "study")
    lesion, air = chest_report().findings
    two = replace(lesion, regions=(*lesion.regions, replace(lesion.regions[0], certainty=0.75)))
    tracked = [
        [item.UID for group in regions(report) for item in group.ContentSequence if item.ValueType == "UIDREF"]
        for report in (
            structured_report(chest_report(findings=(two, air)), study, tmp_path / name) for name in ("one", "other")
        )
    ]
    assert (tracked[0] == tracked[1], len(set(tracked[0]))) == (True, 3)


@pytest.mark.parametrize(
    ("status", "data", "description"),
    [
        ("research", "phantoms", "FLAGGED FOR EARLY READING - RESEARCH USE ONLY, phantom weights"),
        ("research", "patients", "FLAGGED FOR EARLY READING - RESEARCH USE ONLY, no clinical use"),
        ("cleared", "patients", "FLAGGED FOR EARLY READING - Lesions in chest"),
    ],
)
def test_the_list_of_series_says_what_is_to_be_read_early(
    status: str, data: str, description: str, tmp_path: Path
) -> None:
    algorithm = replace(CHEST, status=status, training_data=data)
    report = structured_report(chest_report(algorithm=algorithm), chest_study(tmp_path / "study"), tmp_path)
    assert (report.SeriesDescription, len(description) <= 64) == (description, True)
    assert ("Flagged for early reading because of: Pneumothorax" in dump(report)) is True


def test_headers_of_a_radiograph_that_say_nothing_leave_nothing_wrong(tmp_path: Path) -> None:
    silent = {
        "AnatomicRegionSequence": [],
        "ViewCodeSequence": [],
        "PatientOrientation": "",
        "ImagerPixelSpacing": [0, 0],
        "BodyPartExamined": "ZZ",
        "ViewPosition": "?",
    }
    study = chest_study(tmp_path / "study", **silent)
    text = dump(structured_report(chest_report(), study, tmp_path))
    for word in ("Target Region", "Image View", "Orientation", "Pixel Spacing", "Laterality"):
        assert word not in text
    assert "Pixel Data Rows" in text
