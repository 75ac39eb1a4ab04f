"""FHIR and HL7 of what scanners send: whatever stands in a header, both are made, and tell the same of the patient."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hl7apy.parser import parse_message
from pydicom import dcmread

from app.documents import DocumentKind
from app.report import encode
from tests.unit.report.factory import MADE_AT, make_report, make_study
from tests.unit.report.texts import DETECTORS, TEXTS, Message, resources

BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "mixed character sets": (
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87", "ISO 2022 IR 149"], "PatientName": "Hong=山田^太郎=홍^길동"},
        (),
    ),
    "an unknown character set": ({"SpecificCharacterSet": "ISO_IR 999", "PatientName": "Doe^Jane"}, ()),
    "over-long values": ({"PatientName": "N" * 400, "PatientID": "9" * 400, "AccessionNumber": "7" * 400}, ()),
    "delimiters": ({"PatientName": "O|Brien&Co^J~ane<b>", "PatientID": "1|2&3", "AccessionNumber": "A<&>|~"}, ()),
    "invalid dates": ({"StudyDate": "20260231", "StudyTime": "9", "PatientBirthDate": "unknown"}, ()),
    "no identity": ({}, ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate")),
    "no geometry": ({}, ("FrameOfReferenceUID", "PixelSpacing")),
    "an odd sex": ({"PatientSex": "FEMALE"}, ()),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", BAD)
def test_bad_headers_lose_no_text(case: str, tmp_path: Path) -> None:
    headers, drop = BAD[case]
    study = make_study(tmp_path / "study", headers=headers, drop=drop)
    for instance in study.series[0].instances:
        image = dcmread(instance.path)
        image.private_block(0x0019, "ODD VENDOR", create=True).add_new(1, "UN", b"\x00\xff|^~\\&<")
        image.save_as(instance.path)
    made = {each.kind: each for each in encode(make_report(), study, tmp_path / "out", made_at=MADE_AT, kinds=TEXTS)}
    texts = {kind: made[kind].path.read_bytes() for kind in TEXTS if not made[kind].problem}
    assert set(texts) == TEXTS
    read = list(resources(texts[DocumentKind.FHIR]).values())
    message = Message(texts[DocumentKind.HL7])
    # Both tell the same of the patient, or nothing.
    wanted = "" if "PatientID" in drop else headers.get("PatientID", "P-1")
    subject = read[1].subject
    assert message.field("PID", 3) == wanted == (subject.identifier.value if subject else "")
    family = message.field("PID", 5)
    assert family in (subject.display if subject else "")
    assert family == ("" if "PatientName" in drop else headers.get("PatientName", "Doe").split("=")[0].split("^")[0])
    assert parse_message(texts[DocumentKind.HL7].decode()).to_er7().count("OBX|") == message.names.count("OBX")


def test_texts_are_made_only_where_they_are_wanted(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    kinds = {each.kind for each in encode(make_report(), study, tmp_path / "none", made_at=MADE_AT)}
    assert not kinds & TEXTS
    made = encode(make_report(), study, tmp_path / "all", made_at=MADE_AT, kinds=TEXTS)
    names = [each.path.name for each in made if each.kind in TEXTS]
    base = made[0].path.name.removesuffix(".sr.dcm")
    assert names == [f"{base}.fhir.json", f"{base}.hl7"]
    assert kinds | TEXTS == {each.kind for each in made}


def test_a_text_that_cannot_be_made_does_not_lose_the_others(tmp_path: Path) -> None:
    """A number that neither can hold."""
    study, report = DETECTORS["brain metastases"](tmp_path)
    (finding,) = report.findings
    endless = tuple(replace(lesion, volume_mm3=float("inf")) for lesion in finding.lesions)
    wrong = replace(report, findings=(replace(finding, lesions=endless),))
    made = encode(wrong, study, tmp_path / "out", made_at=MADE_AT, kinds=TEXTS)
    problems = {each.kind: each.problem for each in made}
    assert [problems[kind].partition(" ")[0] for kind in (DocumentKind.FHIR, DocumentKind.HL7)] == ["ValueError"] * 2
    assert problems[DocumentKind.KEY_IMAGE] == ""
