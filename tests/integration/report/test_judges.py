"""Independent readers on our documents: dciodvfy (dicom3tools), dsrdump (dcmtk), highdicom's own reader."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom import dcmread
from pydicom.sr.codedict import codes

from app.documents import Document, DocumentKind
from app.findings import FINDING_KINDS, Outcome, Predecessor, Presence, Region, RegionKind, Report, SliceScore
from app.masks import mask_files
from app.report import encode
from app.study import Instance, Series, Study
from bundles.common.contract import SegmentationOutput, Window
from tests.allowlists.dciodvfy import errors
from tests.unit.report.factory import MADE_AT, PHANTOM, make_report, make_study
from tests.unit.report.radiographs import (
    chest_report,
    chest_study,
    image_uid,
    wrist_failed,
    wrist_report,
    wrist_study,
)
from tests.unit.report.volumes import lesion_report

BRAIN = Window(center=40, width=80)
REPORTS = {
    "present": make_report(),
    "absent": make_report(Presence.ABSENT),
    "failed": make_report(outcome=Outcome.FAILED),
    "partial": make_report(outcome=Outcome.PARTIAL, reason="2 of 4 slices could not be decoded"),
    "not attempted": make_report(outcome=Outcome.NOT_ATTEMPTED, reason="one slice only; at least 8 were expected"),
    "replacing": make_report(replaces=(Predecessor("1111", "1.2.3", 0, "0.9"), Predecessor("2222", "1.2.4", 1, "1.0"))),
    "cleared": make_report(algorithm=replace(PHANTOM, status="cleared", training_data="CQ500")),
}
RADIOGRAPHS: dict[str, tuple[Callable[[Path], Study], Report]] = {
    "chest": (chest_study, chest_report()),
    "wrist": (wrist_study, wrist_report()),
    "wrist without a finding": (wrist_study, wrist_report(Presence.ABSENT)),
    "wrist, one image unread": (wrist_study, wrist_failed()),
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
@pytest.mark.parametrize("case", RADIOGRAPHS)
def test_dciodvfy_and_dsrdump_read_radiographs(case: str, tmp_path: Path) -> None:
    make, report = RADIOGRAPHS[case]
    documents = dicom(report, make(tmp_path / "study"), tmp_path / "out")
    assert [errors(document.path) for document in documents] == [[]] * len(documents)
    done = subprocess.run(["dsrdump", "+Pl", documents[0].path], capture_output=True, check=True, timeout=60)
    text = done.stdout.decode()
    assert done.stderr == b""
    told = [region for finding in report.findings for region in finding.regions]
    assert text.count("SCOORD") == len(told)
    assert text.count("where the network looked") >= sum(region.kind is RegionKind.ATTENTION for region in told)
    assert report.reason in text


def test_highdicom_reads_the_boxes_back_where_they_were(tmp_path: Path) -> None:
    chest = dicom(chest_report(), chest_study(tmp_path / "chest"), tmp_path / "one")[0]
    content = srread(chest.path).content
    assert isinstance(content, MeasurementReport)
    read = [
        (group.finding_type.value, group.roi.value.tolist(), [m.value for m in group.get_measurements()])
        for group in content.get_planar_roi_measurement_groups()
    ]
    assert read == [
        ("52988006", [[120.5, 80], [190.25, 80], [190.25, 150], [120.5, 150], [120.5, 80]], [81.25]),
        ("36118008", [[300, 60], [440, 60], [440, 240.5], [300, 240.5], [300, 60]], [71.87]),
    ]
    wrist = dicom(wrist_report(), wrist_study(tmp_path / "wrist"), tmp_path / "two")[0]
    (group,) = srread(wrist.path).content.get_planar_roi_measurement_groups()
    assert (group.finding_type, group.finding_sites, group.get_measurements()) == (None, [], [])
    assert group.roi.ContentSequence[0].referenced_sop_instance_uid == image_uid(2)


@pytest.mark.debian
@pytest.mark.parametrize("kind", ["lesions", "region"])
@pytest.mark.parametrize("case", HEADERS)
def test_dciodvfy_and_dsrdump_read_lesions(case: str, kind: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers=HEADERS[case])
    output = SegmentationOutput(kind="region", scores=None) if kind == "region" else SegmentationOutput()
    report = lesion_report(study, tmp_path / "out", output=output, kind="intraventricular_hemorrhage")
    documents = dicom(report, study, tmp_path / "out")
    assert [document.kind for document in documents][:2] == [DocumentKind.SR, DocumentKind.SEG]
    assert [errors(document.path) for document in documents] == [[]] * len(documents)
    done = subprocess.run(["dsrdump", documents[0].path], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode(errors="replace").count("Referenced Segment") == len(report.findings[0].lesions)


@pytest.mark.debian
def test_dciodvfy_reads_lesions_whose_segmentation_could_not_be_made(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    report = lesion_report(study, tmp_path / "out")
    for path in mask_files(tmp_path / "out", report):
        path.unlink()
    made = encode(report, study, tmp_path / "out", made_at=MADE_AT)
    assert [(document.kind, bool(document.problem)) for document in made][:2] == [
        (DocumentKind.SR, False),
        (DocumentKind.SEG, True),
    ]
    assert errors(made[0].path) == []


def test_tid1500reader_of_dcmqi_reads_the_measurements(tmp_path: Path) -> None:
    """dcmqi's own reader of TID 1411 groups: what it finds in each is what was measured."""
    study = make_study(tmp_path / "study")
    report = lesion_report(study, tmp_path / "out")
    sr = dicom(report, study, tmp_path / "out")[0]
    out = tmp_path / "read.json"
    command = [Path(sys.executable).with_name("tid1500reader"), "--inputDICOM", sr.path, "--outputMetadata", out]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)
    groups = [each for each in json.loads(out.read_text())["Measurements"] if "ReferencedSegment" in each]
    assert [
        (
            each["TrackingIdentifier"],
            each["ReferencedSegment"],
            {item["quantity"]["CodeValue"]: float(item["value"]) for item in each["measurementItems"]},
        )
        for each in groups
    ] == [
        (
            f"Brain metastasis, lesion {lesion.number} of 2 (RESEARCH USE ONLY)",
            lesion.number,
            {
                "118565006": round(lesion.volume_mm3, 2),
                "103339001": round(lesion.longest_diameter_mm or 0, 2),
                "111012": (lesion.certainty or 0) * 100,
            },
        )
        for lesion in report.findings[0].lesions
    ]


@pytest.mark.debian
@pytest.mark.parametrize("name", ["RG1_JLSN", "RG1_J2KI"])
def test_a_real_chest_radiograph(name: str, imaging_data: Path, tmp_path: Path) -> None:
    """MONOCHROME1, compressed; the key image shows bone bright, at a size for a screen."""
    (file,) = (imaging_data / "dicom" / "cr").glob(f"{name}*")
    header = dcmread(file, stop_before_pixels=True)
    instance = Instance(file, header.SOPInstanceUID, header.SOPClassUID, header.file_meta.TransferSyntaxUID, "")
    study = Study(header.StudyInstanceUID, "r", (Series(header.SeriesInstanceUID, 0, header.Modality, (instance,)),))
    box = (header.Columns * 0.1, header.Rows * 0.2, header.Columns * 0.4, header.Rows * 0.6)
    lesion, _ = chest_report().findings
    uid = instance.sop_instance_uid
    found = replace(lesion, slices=(SliceScore(uid, 0, 0.9),), regions=(Region(uid, box, RegionKind.DETECTION, 0.9),))
    report = chest_report(study_uid=study.uid, series_uid=header.SeriesInstanceUID, findings=(found,))
    sr, key, _ = encode(report, study, tmp_path, made_at=MADE_AT)
    assert (sr.problem, key.problem, errors(sr.path), errors(key.path)) == ("", "", [], [])
    shown = dcmread(key.path)
    assert max(shown.Rows, shown.Columns) <= 2048 * 1.3
    # The trunk is dense, the air beside it is not.
    grey = shown.pixel_array[..., 0].astype(float)
    middle, width = grey[shown.Rows // 2], shown.Columns
    assert middle[int(width * 0.45) : int(width * 0.55)].mean() > 80


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
