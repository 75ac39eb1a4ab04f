"""The short way of writing gives the very bytes of pydicom's."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import dictionary_VR

from app.documents import DICOM_KINDS, DocumentKind
from app.report import documents, encode
from app.report.instance import add_meta
from app.report.writing import file_bytes
from tests.unit.report.cases import ALL, BRAIN, made
from tests.unit.report.factory import MADE_AT, make_study
from tests.unit.report.volumes import enhanced_study, lesion_report

pytestmark = pytest.mark.debian  # the fonts of the page


def by_pydicom(data_set: Dataset) -> bytes:
    buffer = BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def both_ways(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> int:
    """How many documents were compared."""
    seen = []

    def compared(data_set: Dataset) -> bytes:
        expected = by_pydicom(data_set)
        written = file_bytes(data_set)
        assert written == expected
        seen.append(data_set.SOPClassUID)
        return written

    monkeypatch.setattr(documents, "file_bytes", compared)
    found = encode(made_at=MADE_AT, window=BRAIN, kinds=frozenset(DocumentKind), **arguments)
    assert [each.problem for each in found] == [""] * len(found)
    assert len(seen) == sum(each.kind in DICOM_KINDS for each in found)
    return len(seen)


@pytest.mark.parametrize(("detector", "state"), ALL)
def test_every_document_is_the_same(detector: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, report = made(detector, state, tmp_path)
    assert both_ways(monkeypatch, report=report, study=study, folder=tmp_path / "out") >= 2


@pytest.mark.parametrize(
    "headers",
    [
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东", "StudyDescription": "头"},
        {"PatientID": "", "PatientName": "", "StudyDate": "", "StudyTime": "", "StudyID": ""},
    ],
)
def test_whatever_stands_in_the_header(
    headers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path / "study", headers=headers)
    report = lesion_report(study, tmp_path / "out")
    assert both_ways(monkeypatch, report=report, study=study, folder=tmp_path / "out") == 6


@pytest.mark.parametrize(
    ("character_set", "patient_id", "name"),
    [
        (b"ISO_IR 192", b"ZZP6\xe9", b"M\xfcller^Zo\xeb"),
        (b"GB18030", b"ID\xff7", b"Wang^\xff\xfe"),
        (b"\\ISO 2022 IR 87", b"A1", b"Yamada^\x1b$B;3ED^"),
        (b"ISO_IR 9999", b"odd\xa0", b"\xe9"),
        (b"", b"A\xe91", b"Doe^J\xe4ne"),
    ],
)
def test_who_it_is_about_keeps_every_byte(character_set: bytes, patient_id: bytes, name: bytes, tmp_path: Path) -> None:
    """Whatever the bytes claim to be: a result with another ID would not join its patient."""
    study = make_study(tmp_path / "study")
    written = {0x00080005: character_set, 0x00100020: patient_id, 0x00100010: name, 0x00080050: patient_id}
    for instance in study.series[0].instances:
        rewrite(instance.path, written)
    report = lesion_report(study, tmp_path / "out")
    found = encode(report, study, tmp_path / "out", made_at=MADE_AT, window=BRAIN, kinds=DICOM_KINDS)
    assert [each.problem for each in found] == [""] * len(found)
    for document in (each for each in found if each.kind in DICOM_KINDS):
        content = document.path.read_bytes()
        missing = [tag for tag, value in written.items() if value and element(tag, value) not in content]
        assert missing == []


def element(tag: int, value: bytes) -> bytes:
    """As it stands in a file, explicit VR little endian."""
    padded = value + b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + dictionary_VR(tag).encode()
    return head + struct.pack("<H", len(padded)) + padded


def rewrite(path: Path, values: dict[int, bytes]) -> None:
    """Put bytes into a file as no library would write them; every element is there already, or comes with any value."""
    data_set = dcmread(path)
    marks = {}
    for tag in values:
        marks[tag] = f"MARK{tag:08X}"
        data_set[tag] = DataElement(tag, dictionary_VR(tag), marks[tag])
    del data_set[0x00080005]
    data_set.save_as(path)
    content = path.read_bytes()
    for tag, value in values.items():
        if tag != 0x00080005:
            assert content.count(element(tag, marks[tag].encode())) == 1
            content = content.replace(element(tag, marks[tag].encode()), element(tag, value))
    if values[0x00080005]:
        first = content.index(b"\x08\x00\x16\x00UI")
        content = content[:first] + element(0x00080005, values[0x00080005]) + content[first:]
    path.write_bytes(content)


def test_references_to_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = enhanced_study(tmp_path / "study")
    report = lesion_report(study, tmp_path / "out")
    assert both_ways(monkeypatch, report=report, study=study, folder=tmp_path / "out") == 6


def test_what_is_unusual_is_left_to_pydicom() -> None:
    """Text beyond ASCII, values of several, empty ones, names: the short way gives up a sequence, or an element."""
    item, within = Dataset(), Dataset()
    within.CodeMeaning = "Kopf"
    item.PatientName, item.ReferencedFrameNumber, item.DimensionIndexValues = "Müller^Zoë", [1, 2], [1, 2, 3]
    item.ConceptNameCodeSequence, item.TextValue, item.StudyDate = [within], "odd", None
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3"
    data_set.ContentSequence, data_set.SourceInstanceSequence = [item, within], [within, Dataset()]
    add_meta(data_set)
    expected = by_pydicom(data_set)
    assert file_bytes(data_set) == expected
