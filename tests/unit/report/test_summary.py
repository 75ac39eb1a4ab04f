"""The page of paper: one page, whatever is written on it, and nothing that runs off it."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pypdf import PageObject, PdfReader

from app.documents import Document, DocumentKind
from app.findings import FINDING_KINDS, Finding, Outcome, Predecessor, Presence, Report
from app.report import encode, page
from app.report.source import read_source
from app.report.summary import LOST, NOTHING, REPLACES, summary
from app.report.uids import report_uid
from app.report.words import disclaimer
from app.study import Study, Unreadable
from tests.unit.report.cases import ALL, made
from tests.unit.report.factory import MADE_AT, PHANTOM, make_report, make_study
from tests.unit.report.radiographs import chest_report, chest_study

pytestmark = pytest.mark.debian  # the fonts, and poppler
KINDS = {DocumentKind.PDF}
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
LONG = "verylongword" * 80 + " and words " * 200


def documents(report: Report, study: Study, folder: Path) -> list[Document]:
    return [d for d in encode(report, study, folder, made_at=MADE_AT, kinds=KINDS) if d.kind is DocumentKind.PDF]


def encapsulated(report: Report, study: Study, folder: Path) -> bytes:
    (document,) = documents(report, study, folder)
    assert document.problem == ""
    data_set = dcmread(document.path)
    content: bytes = data_set.EncapsulatedDocument
    return content[: data_set.EncapsulatedDocumentLength]


def only_page(content: bytes) -> PageObject:
    (found,) = PdfReader(BytesIO(content), strict=True).pages
    return found


def text_of(content: bytes) -> str:
    """As pypdf reads it, on one line."""
    return " ".join(only_page(content).extract_text().split())


def boxes(content: bytes, folder: Path) -> Iterator[tuple[float, float, float, float]]:
    """Where poppler sees each word: left, upper, right, lower edge."""
    (folder / "page.pdf").write_bytes(content)
    command = ["pdftotext", "-bbox", str(folder / "page.pdf"), "-"]
    seen = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout.decode()
    for found in re.finditer(r'<word xMin="(\S+)" yMin="(\S+)" xMax="(\S+)" yMax="(\S+)"', seen):
        left, upper, right, lower = map(float, found.groups())
        yield left, upper, right, lower


def assert_on_the_page(content: bytes, folder: Path) -> None:
    """Every word lies between the margins, and above the foot or in it."""
    only_page(content)
    found = list(boxes(content, folder))
    assert len(found) > 20
    outside = [box for box in found if box[0] < page.LEFT - 1 or box[2] > page.WIDTH - page.LEFT + 1]
    assert outside == []
    assert min(box[1] for box in found) >= 0
    assert max(box[3] for box in found) <= page.HEIGHT


@pytest.mark.parametrize(("detector", "state"), ALL)
def test_tells_every_detector_in_every_state(detector: str, state: str, tmp_path: Path) -> None:
    study, report = made(detector, state, tmp_path)
    text = text_of(encapsulated(report, study, tmp_path / "out"))
    assert text.count(disclaimer(report.algorithm)) == 2
    assert "Jane Doe" in text
    assert "P-1" in text
    assert report.algorithm.weights_sha256 in text
    assert f"training data: {report.algorithm.training_data}" in text
    for finding in report.findings:
        answer = {"present": "present", "absent": "not found", "undetermined": "undetermined"}[finding.presence]
        assert f"{FINDING_KINDS[finding.kind].name.replace('_', ' ').capitalize()} {answer}" in text
    assert (NOTHING in text) == (not report.determined)
    if report.outcome is not Outcome.SUCCEEDED:
        assert f"Analysis {report.outcome.value}: {report.reason}" in text
    if not report.determined:
        assert "not found" not in text


def test_holds_number_threshold_and_calibration(tmp_path: Path) -> None:
    text = text_of(encapsulated(make_report(), make_study(tmp_path / "study"), tmp_path / "out"))
    assert "Intracranial hemorrhage present 93.1 % 50.0 % slices 2, 3, 4 of 4; most suspicious: 3" in text
    assert "Subdural hemorrhage present 93.1 % * 50.0 %" in text
    assert "Epidural hemorrhage not found 4.2 % * 50.0 %" in text
    assert "* A score that was not calibrated." in text


def test_says_what_was_looked_at_and_what_was_not_and_why(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    (series,) = study.series
    other = replace(series, uid="1.2.3", modality="MR", headers={"SeriesNumber": 7, "SeriesDescription": "T2 FLAIR"})
    broken = Unreadable(tmp_path / "x.dcm", "x.dcm: not a DICOM file")
    study = replace(
        study,
        series=(replace(series, headers={"SeriesNumber": 2, "SeriesDescription": "Head 5 mm"}), other),
        unreadable=(broken,),
        missing=("10 images were announced, 4 came",),
        others=series.instances[:1],
    )
    text = text_of(encapsulated(make_report(), study, tmp_path / "out"))
    assert 'Looked at CT, series 2, 4 images, "Head 5 mm" Not looked at' in text
    assert 'MR, series 7, 4 images, "T2 FLAIR": not chosen for this analysis' in text
    assert "Missing: 10 images were announced, 4 came" in text
    assert "Unreadable: x.dcm: not a DICOM file" in text
    failed = text_of(encapsulated(make_report(outcome=Outcome.FAILED), study, tmp_path / "failed"))
    assert 'Not looked at CT, series 2, 4 images, "Head 5 mm": analysis failed' in failed


def test_an_urgent_finding_stands_on_top(tmp_path: Path) -> None:
    text = text_of(encapsulated(chest_report(), chest_study(tmp_path / "study"), tmp_path / "out"))
    flag = "Flagged for early reading because of: Pneumothorax"
    assert 0 < text.index(flag) < text.index("Lung lesion present")


def test_says_that_it_stands_for_an_earlier_one(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    before = Predecessor("fedcba9876543210", study.series[0].uid, 0, "0.1.0")
    assert REPLACES in text_of(encapsulated(make_report(replaces=(before,)), study, tmp_path / "one"))
    assert REPLACES not in text_of(encapsulated(make_report(), study, tmp_path / "other"))


NAMES = {
    "Latin": ({"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Zoë"}, "Zoë Müller", False),
    "Cyrillic": ({"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люкceмбург^Роза"}, "Роза Люкceмбург", False),
    "Greek": ({"SpecificCharacterSet": "ISO_IR 126", "PatientName": "Διονυσιος"}, "Διονυσιος", False),
    "Chinese": (
        {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东"},
        "XiaoDong Wang · 王 小东",
        False,
    ),
    "Korean": ({"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Hong=홍^길동"}, "Hong · 홍 길동", False),
    "Hebrew": ({"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Sharon=שרון"}, "Sharon · □□□□", True),
    "Thai": ({"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Somchai=สม"}, "Somchai · □□", True),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_the_world(case: str, tmp_path: Path) -> None:
    """Scripts that the fonts lack, or that want to be turned or joined, are not drawn wrongly: the page says so."""
    headers, expected, lost = NAMES[case]
    study = make_study(tmp_path / "study", headers=headers)
    text = text_of(encapsulated(make_report(), study, tmp_path / "out"))
    assert f"Patient {expected} Study" in text
    assert (" ".join(LOST.split()) in text) is lost


def test_no_patient_stands_in_the_properties_of_the_file(tmp_path: Path) -> None:
    content = encapsulated(make_report(), make_study(tmp_path / "study"), tmp_path / "out")
    properties = PdfReader(BytesIO(content)).metadata
    assert properties is not None
    assert properties.title == "Intracranial hemorrhage in head CT: summary"
    assert (properties.creation_date, properties.modification_date) == (MADE_AT, MADE_AT)
    assert not re.search("Doe|P-1", str(properties))


def test_is_the_same_bytes_twice(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers={"SpecificCharacterSet": "GB18030", "PatientName": "Wang=王"})
    files = [documents(make_report(), study, tmp_path / name)[0].path.read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_is_an_encapsulated_pdf(tmp_path: Path) -> None:
    report, study = make_report(), make_study(tmp_path / "study")
    (document,) = documents(report, study, tmp_path / "out")
    data_set = dcmread(document.path)
    assert data_set.SOPInstanceUID == document.sop_instance_uid == report_uid(report, "pdf")
    assert (data_set.SOPClassUID.name, data_set.Modality) == ("Encapsulated PDF Storage", "DOC")
    assert (data_set.SeriesNumber, data_set.BurnedInAnnotation) == (9005, "YES")
    assert data_set.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert data_set.DocumentTitle == "Intracranial hemorrhage in head CT: summary"
    named = [item.ReferencedSOPInstanceUID for item in data_set.SourceInstanceSequence]
    assert named == [instance.sop_instance_uid for instance in study.series[0].instances]
    assert data_set.PatientName == "Doe^Jane"


def test_is_made_only_where_it_is_wanted(tmp_path: Path) -> None:
    made_anyway = encode(make_report(), make_study(tmp_path / "study"), tmp_path / "out", made_at=MADE_AT)
    assert DocumentKind.PDF not in {each.kind for each in made_anyway}


def test_without_the_fonts_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FILES", dict.fromkeys(page.FILES, tmp_path / "none.ttf"))
    page.font.cache_clear()
    try:
        (document,) = documents(make_report(), make_study(tmp_path / "study"), tmp_path / "out")
    finally:
        page.font.cache_clear()
    assert "fonts-dejavu-core" in document.problem


def full(study: Study, **changes: Any) -> tuple[Report, Study]:
    """As much of everything as there can be."""
    findings = tuple(
        replace(make_report().findings[0], kind=kind, urgent=True, calibrated=False) for kind in FINDING_KINDS
    )
    report = make_report(findings=findings, notes=(LONG,) * 30, reason=LONG, **changes)
    broken = tuple(Unreadable(Path("x"), f"{number} {LONG}") for number in range(50))
    return report, replace(study, unreadable=broken, missing=(LONG,) * 5)


def test_too_much_is_shortened_with_how_much_more_there_is(tmp_path: Path) -> None:
    report, study = full(make_study(tmp_path / "study"))
    content = encapsulated(report, study, tmp_path / "out")
    assert_on_the_page(content, tmp_path)
    text = text_of(content)
    assert "...and 29 more" in text
    assert "...and 54 more" in text
    assert text.count("RESEARCH USE ONLY") >= 2
    assert len(only_page(content).images) == 1


def test_more_findings_than_there_is_room_for_show_those_that_are_present(tmp_path: Path) -> None:
    absent = Finding("lung_lesion", Presence.ABSENT, 0.1, 0.5, True)
    report = make_report(findings=(*[absent] * 12, make_report().findings[0]))
    text = text_of(encapsulated(report, make_study(tmp_path / "study"), tmp_path / "out"))
    assert "Intracranial hemorrhage present" in text
    assert "...and 4 more" in text


@settings(max_examples=25)
@given(
    notes=st.lists(LETTERS, max_size=12),
    reason=LETTERS,
    title=LETTERS,
    description=LETTERS,
    outcome=st.sampled_from(list(Outcome)),
)
@example(["\n\t\x00", ""], "", "", "", Outcome.FAILED)
@example([LONG] * 12, LONG, LONG, LONG, Outcome.PARTIAL)
@example(["王" * 400] * 12, "שרון" * 100, "홍" * 300, "\u0301" * 300, Outcome.SUCCEEDED)
def test_nothing_runs_off_the_page(
    notes: list[str], reason: str, title: str, description: str, outcome: Outcome
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        study = make_study(folder / "study")
        headers = {"SeriesNumber": description, "SeriesDescription": description}
        study = replace(study, series=(replace(study.series[0], headers=headers),))
        report = make_report(
            outcome=outcome, notes=tuple(notes), reason=reason, algorithm=replace(PHANTOM, title=title)
        )
        assert_on_the_page(summary(report, study, read_source(report, study), MADE_AT), folder)


@pytest.mark.parametrize("case", ["chest", "failed"])
def test_reads_as_the_golden_document(case: str, tmp_path: Path, root: Path) -> None:
    """REGEN_GOLDEN=1 writes the golden documents anew; look at the difference before committing it."""
    study, report = made("chest", {"chest": "present"}.get(case, case), tmp_path)
    text = only_page(encapsulated(report, study, tmp_path / "out")).extract_text() + "\n"
    golden = root / "tests" / "golden" / f"pdf_{case}.txt"
    if os.environ.get("REGEN_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
