"""The short way of writing gives the very bytes of pydicom's."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

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
