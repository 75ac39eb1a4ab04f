"""Documents of Model Zoo bundles, by independent readers: nothing is called present or absent in any of them."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from jsonschema import Draft202012Validator
from pydicom import dcmread
from pydicom.sr._concepts_dict import concepts

from app.cli.show import headline
from app.codes import KNOWN, PRIVATE, code_of
from app.documents import Document, DocumentKind
from app.findings import Outcome, Report
from app.masks import mask_files
from app.outcomes import StudyOutcome
from app.report import encode
from app.revisions import Relation
from app.study import Study
from app.web.models import StudySummary
from app.worklist_rows import Names, row_of
from tests.allowlists.dciodvfy import errors
from tests.unit.report.factory import MADE_AT, make_study
from tests.unit.report.measured import class_report, failed_report, structure_report

Make = Callable[[Study, Path], Report]
CASES: dict[str, Make] = {
    "structures": structure_report,
    "classes": lambda study, _: class_report(study),
    "failed": lambda study, _: failed_report(study),
}


def documents(case: str, folder: Path) -> tuple[Report, tuple[Document, ...]]:
    study = make_study(folder / "study")
    report = CASES[case](study, folder / "out")
    made = encode(report, study, folder / "out", made_at=MADE_AT)
    assert [document.problem for document in made] == [""] * len(made)
    return report, made


@pytest.mark.debian
@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("structures", [DocumentKind.SR, DocumentKind.SEG, DocumentKind.JSON]),
        ("classes", [DocumentKind.SR, DocumentKind.JSON]),
        ("failed", [DocumentKind.SR, DocumentKind.JSON]),
    ],
)
def test_dciodvfy_finds_no_error(case: str, kinds: list[DocumentKind], tmp_path: Path) -> None:
    _, made = documents(case, tmp_path)
    assert [document.kind for document in made] == kinds
    assert [errors(each.path) for each in made if each.kind is not DocumentKind.JSON] == [[]] * (len(kinds) - 1)


@pytest.mark.debian
@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("structures", ["Segmentation of spleen 7.1 ml", "Segmentation of liver: nothing outlined", "7089.84"]),
        ("classes", ["Class nodule, score 62.5 %. No operating point was set"]),
        ("failed", ["Segmentation of spleen: undetermined", "it broke"]),
    ],
)
def test_the_report_says_what_was_measured_and_calls_nothing_present(
    case: str, told: list[str], tmp_path: Path
) -> None:
    _, made = documents(case, tmp_path)
    dump = subprocess.run(["dsrdump", "+Pl", made[0].path], capture_output=True, check=True, timeout=30).stdout.decode()
    assert [words for words in told if words not in dump] == []
    assert "RESEARCH USE ONLY" in dump
    assert "121052" not in dump  # Presence of property
    assert "Present" not in dump
    assert "Absent" not in dump


def test_highdicom_reads_the_volume_of_each_segment(tmp_path: Path) -> None:
    report, made = documents("structures", tmp_path)
    sr, seg = srread(made[0].path), segread(made[1].path)
    found = sr.content.get_volumetric_roi_measurement_groups()
    named = [
        (item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, item.ReferencedSOPSequence[0].ReferencedSegmentNumber)
        for group in found
        for item in group[0].ContentSequence
        if item.ValueType == "IMAGE"
    ]
    assert named == [(seg.SOPInstanceUID, 1), (seg.SOPInstanceUID, 2)]
    assert [group.tracking_uid for group in found] == [
        seg.get_segment_description(number).tracking_uid for number in (1, 2)
    ]
    values = [group.get_measurements()[0].value for group in found]
    assert values == [structure.volume_mm3 for structure in report.structures if structure.segment]


def test_segments_carry_a_code_where_the_word_is_known(tmp_path: Path) -> None:
    _, made = documents("structures", tmp_path)
    first, second = dcmread(made[1].path).SegmentSequence
    (coded,), (private,) = first.SegmentedPropertyTypeCodeSequence, second.SegmentedPropertyTypeCodeSequence
    assert (coded.CodeValue, coded.CodingSchemeDesignator) == ("78961009", "SCT")
    assert (private.CodingSchemeDesignator, private.CodeMeaning) == (PRIVATE, "Lesion/ a cote")
    assert len(private.CodeValue) <= 16
    assert (first.SegmentLabel, second.SegmentLabel) == ("spleen", "Lesion/ a cote")


@pytest.mark.parametrize("case", CASES)
def test_json_keeps_to_the_schema_and_names_its_version(case: str, tmp_path: Path, root: Path) -> None:
    _, made = documents(case, tmp_path)
    content = json.loads(made[-1].path.read_text())
    schema = Draft202012Validator(json.loads((root / "app/report/schema/report-1.json").read_text()))
    assert list(schema.iter_errors(content)) == []
    assert (content["schema_version"], content["findings"]) == ("1.3", [])
    content["structures"], content["classes"] = [], []
    assert not schema.is_valid(content)


def test_nothing_measured_leaves_after_a_failure(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    report = replace(structure_report(study, tmp_path / "out"), outcome=Outcome.FAILED, reason="out of memory")
    made = encode(report, study, tmp_path / "out", made_at=MADE_AT)
    assert [document.kind for document in made] == [DocumentKind.SR, DocumentKind.JSON]
    content = json.loads(made[-1].path.read_text())
    assert [each["volume_mm3"] for each in content["structures"]] == [None] * 3


@pytest.mark.debian
def test_a_lost_mask_leaves_the_volumes_and_says_so(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    report = structure_report(study, tmp_path / "out")
    for file in mask_files(tmp_path / "out", report):
        file.unlink()
    sr, seg, _ = encode(report, study, tmp_path / "out", made_at=MADE_AT)
    assert (sr.problem, "mask of the analysis is missing" in seg.problem) == ("", True)
    assert errors(sr.path) == []
    dump = subprocess.run(["dsrdump", "+Pl", sr.path], capture_output=True, check=True, timeout=30).stdout
    assert dump.count(b"there is no segmentation to show") == 2


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (documents("structures", tmp_path / name)[1] for name in ("one", "other"))
    assert [each.path.read_bytes() for each in one] == [each.path.read_bytes() for each in other]


def test_people_see_volumes_and_scores(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    reports = (structure_report(study, tmp_path / "out"), class_report(study))
    outcome = StudyOutcome(key=study.key, received_at=0.0, files=("a.dcm",), study_uid=study.uid, reports=reports)
    assert headline(outcome) == (
        "spleen 7.1 ml; Lésion\\ à côté 0.7 ml; liver: nothing outlined; "
        "class nodule, score 62.5 %; class C, score 25.0 %; class A, score 12.5 %"
    )
    summary = StudySummary.of(outcome, Relation())
    assert (summary.measured[0], summary.findings, summary.research_only) == ("spleen 7.1 ml", [], True)
    assert row_of(outcome, Relation(), Names(), 1).shown.measured[0] == "spleen 7.1 ml"


@pytest.mark.parametrize("word", KNOWN)
def test_codes_are_those_of_the_dictionary(word: str) -> None:
    code, _ = KNOWN[word]
    meanings = {
        meaning
        for entries in concepts[code.scheme].values()
        for value, (meaning, _) in entries.items()
        if value == code.value
    }
    assert code.meaning in meanings


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("Spleen", "Spleen"),
        ("gall_bladder", "Gallbladder"),
        ("small-bowel", "Small intestine"),
        ("left kidney", "left kidney"),
        ("Tumor core", "Tumor core"),
        ("x" * 80, "x" * 61 + "..."),
    ],
)
def test_a_word_that_is_not_known_for_sure_is_its_own_meaning(name: str, meaning: str) -> None:
    code, _ = code_of(name)
    assert (code.meaning, len(code.value) <= 16) == (meaning, True)
    assert (code.scheme == "SCT") is (meaning[0].isupper() and meaning != "Tumor core")
