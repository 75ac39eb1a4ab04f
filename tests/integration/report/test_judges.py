"""Independent readers on our documents: dciodvfy (dicom3tools), dsrdump (dcmtk), highdicom's own reader."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom import dcmread
from pydicom.sr.codedict import codes

from app.documents import Document, DocumentKind
from app.findings import FINDING_KINDS, Outcome, Presence, Report, SliceScore
from app.report import encode
from app.study import Instance, Series, Study
from bundles.common.contract import Window
from tests.allowlists.dciodvfy import errors
from tests.unit.report.factory import MADE_AT, PHANTOM, make_report, make_study

BRAIN = Window(center=40, width=80)
REPORTS = {
    "present": make_report(),
    "absent": make_report(Presence.ABSENT),
    "failed": make_report(outcome=Outcome.FAILED),
    "partial": make_report(outcome=Outcome.PARTIAL, reason="2 of 4 slices could not be decoded"),
    "not attempted": make_report(outcome=Outcome.NOT_ATTEMPTED, reason="one slice only; at least 8 were expected"),
    "cleared": make_report(algorithm=replace(PHANTOM, status="cleared", training_data="CQ500")),
}
HEADERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "Japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "Cyrillic": {"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Люкceмбург^Роза"},
    "UTF-8": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Wang^XiaoDong=王^小东"},
    "GB18030": {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东"},
    "empty": {"PatientID": "", "PatientName": "", "StudyDate": "", "StudyTime": "", "StudyID": ""},
}


def dicom(report: Report, study: Study, folder: Path) -> list[Document]:
    documents = encode(report, study, folder, window=BRAIN, made_at=MADE_AT)
    assert [document.problem for document in documents] == [""] * len(documents)
    return [document for document in documents if document.kind is not DocumentKind.JSON]


@pytest.mark.debian
@pytest.mark.parametrize("case", REPORTS)
def test_dciodvfy_finds_no_error(case: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    assert [errors(d.path) for d in dicom(REPORTS[case], study, tmp_path)] in ([[], []], [[]])


@pytest.mark.debian
@pytest.mark.parametrize("case", HEADERS)
def test_dciodvfy_and_dsrdump_cope_with_the_names_of_the_world(case: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers=HEADERS[case])
    sr, key = dicom(make_report(), study, tmp_path / "out")
    assert (errors(sr.path), errors(key.path)) == ([], [])
    # Debian's dcmtk converts with glibc, which knows no ISO 2022 IR 87: it reads that report, unconverted.
    convert = [] if case == "Japanese" else ["+U8"]
    dumped = subprocess.run(["dsrdump", *convert, sr.path], capture_output=True, check=True, timeout=60).stdout
    assert case == "Japanese" or HEADERS[case].get("PatientName", "Doe^Jane") in dumped.decode()


@pytest.mark.debian
@pytest.mark.parametrize("case", REPORTS)
def test_dsrdump_reads_every_answer(case: str, tmp_path: Path) -> None:
    report = REPORTS[case]
    sr = dicom(report, make_study(tmp_path / "study"), tmp_path)[0]
    done = subprocess.run(["dsrdump", "+Pl", sr.path], capture_output=True, check=True, timeout=60)
    text = done.stdout.decode()
    assert done.stderr == b""
    presence = [line.split('"')[-2].lower() for line in text.splitlines() if '"Presence of property"' in line]
    assert presence == [finding.presence.value for finding in report.findings]
    assert ("RESEARCH USE ONLY" in text) == report.algorithm.research_only
    assert (report.reason in text) is True


@pytest.mark.parametrize("case", REPORTS)
def test_highdicom_reads_back_what_was_said(case: str, tmp_path: Path) -> None:
    report = REPORTS[case]
    sr = dicom(report, make_study(tmp_path / "study"), tmp_path)[0]
    document = srread(sr.path)
    assert isinstance(document.content, MeasurementReport)
    groups = document.content.get_image_measurement_groups()
    read = [
        (
            group.finding_type.value,
            [site.value.value for site in group.finding_sites],
            [
                e.value.meaning.lower()
                for e in group.get_qualitative_evaluations()
                if e.name == codes.DCM.PresenceOfProperty
            ],
            [(m.name == codes.DCM.CertaintyOfFinding, m.value, m.unit.value) for m in group.get_measurements()],
            len(group.source_images),
        )
        for group in groups
    ]
    assert read == [
        (
            FINDING_KINDS[finding.kind].code.value,
            [site.value] if (site := FINDING_KINDS[finding.kind].site) else [],
            [finding.presence.value],
            [] if finding.certainty is None else [(True, int(finding.certainty * 10_000) / 100, "%")],
            sum(score.certainty >= (finding.threshold or 1) for score in finding.slices),
        )
        for finding in report.findings
    ]


@pytest.mark.debian
def test_a_real_head_ct(imaging_data: Path, tmp_path: Path) -> None:
    """GE HiSpeed, gantry tilt, variable spacing, vendor's private tags."""
    files = sorted((imaging_data / "dicom" / "ct_head_ge").glob("*.dcm"))
    headers = [dcmread(file, stop_before_pixels=True) for file in files]
    instances = tuple(
        Instance(file, h.SOPInstanceUID, h.SOPClassUID, h.file_meta.TransferSyntaxUID, "")
        for file, h in zip(files, headers, strict=True)
    )
    first = headers[0]
    study = Study(first.StudyInstanceUID, "r", (Series(first.SeriesInstanceUID, 0, "CT", instances),))
    scores = tuple(SliceScore(i.sop_instance_uid, n, n / 100) for n, i in enumerate(instances))
    found = replace(make_report().findings[0], slices=scores)
    report = make_report(study_uid=study.uid, series_uid=first.SeriesInstanceUID, findings=(found,))
    sr, key = dicom(report, study, tmp_path)
    assert (errors(sr.path), errors(key.path)) == ([], [])
    assert dcmread(sr.path).PatientID == first.PatientID
