"""Every detector in every state: presentation states and pages of paper before independent judges, and into a PACS."""

import re
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from app.deliver import deliver
from app.documents import Document, DocumentKind
from app.report import encode
from app.report.words import disclaimer
from tests.allowlists.dciodvfy import errors
from tests.integration.deliver.conftest import MakeDestination, Orthanc
from tests.integration.report.test_judges import HEADERS
from tests.unit.report.cases import ALL, BRAIN, made, shows_something
from tests.unit.report.factory import MADE_AT, make_study
from tests.unit.report.volumes import lesion_report

pytestmark = pytest.mark.debian
KINDS = frozenset({DocumentKind.PRESENTATION, DocumentKind.PDF})


def pictures(detector: str, state: str, folder: Path) -> dict[DocumentKind, Document]:
    study, report = made(detector, state, folder)
    window = BRAIN if study.series[0].modality == "CT" else None
    documents = encode(report, study, folder / "out", window=window, made_at=MADE_AT, kinds=KINDS)
    found = {each.kind: each for each in documents if each.kind in KINDS}
    assert [each.problem for each in found.values()] == [""] * len(found)
    assert set(found) == (KINDS if shows_something(report) else {DocumentKind.PDF})
    return found


def data_set_of(content: bytes) -> bytes:
    """A DICOM file without its file meta information, which whoever stores it writes anew (PS3.10 7.1)."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


@pytest.mark.parametrize(("detector", "state"), ALL)
def test_dciodvfy_finds_no_error(detector: str, state: str, tmp_path: Path) -> None:
    found = pictures(detector, state, tmp_path)
    assert {kind: errors(document.path) for kind, document in found.items()} == {kind: [] for kind in found}


@pytest.mark.parametrize(("detector", "state"), ALL)
def test_poppler_reads_the_page(detector: str, state: str, tmp_path: Path) -> None:
    """dcmtk takes it out of the DICOM object, poppler reads it."""
    study, report = made(detector, state, tmp_path / "same")
    assert study.uid == report.study_uid
    document = pictures(detector, state, tmp_path)[DocumentKind.PDF]
    out = tmp_path / "page.pdf"
    subprocess.run(["dcm2pdf", document.path, out], check=True, capture_output=True, timeout=60)
    about = subprocess.run(["pdfinfo", out], check=True, capture_output=True, timeout=60).stdout.decode()
    assert re.search(r"^Pages: +1$", about, re.MULTILINE)
    assert "A4" in about
    read = subprocess.run(["pdftotext", "-layout", out, "-"], check=True, capture_output=True, timeout=60)
    assert read.stderr == b""
    assert disclaimer(report.algorithm) in read.stdout.decode()
    assert report.reason in " ".join(read.stdout.decode().split())


@pytest.mark.parametrize("detector", ["chest", "wrist", "brain metastases", "head CT with a region"])
def test_dcmtk_takes_the_presentation_state_and_applies_it(detector: str, tmp_path: Path) -> None:
    document = pictures(detector, "present", tmp_path)[DocumentKind.PRESENTATION]
    checked = subprocess.run(["dcmpschk", document.path], capture_output=True, check=True, timeout=60)
    assert "Test passed." in (checked.stdout + checked.stderr).decode()
    state = dcmread(document.path)
    series = [each.ReferencedImageSequence for each in state.ReferencedSeriesSequence]
    names = {item.ReferencedSOPInstanceUID for images in series for item in images}
    images = [path for path in (tmp_path / "study").rglob("*.dcm") if dcmread(path).SOPInstanceUID in names]
    assert len(images) == len(names)
    for image in images:
        out = tmp_path / "shown.pgm"
        subprocess.run(["dcmp2pgm", "-p", document.path, image, out], check=True, capture_output=True, timeout=60)
        assert out.read_bytes().startswith(b"P5")


@pytest.mark.parametrize("case", HEADERS)
def test_the_names_of_the_world_break_neither(case: str, tmp_path: Path) -> None:
    headers: dict[str, Any] = HEADERS[case]
    study = make_study(tmp_path / "study", headers=headers)
    report = lesion_report(study, tmp_path / "out")
    documents = encode(report, study, tmp_path / "out", window=BRAIN, made_at=MADE_AT, kinds=KINDS)
    found = [each for each in documents if each.kind in KINDS]
    assert [(each.problem, errors(each.path)) for each in found] == [("", [])] * 2
    source = dcmread(study.series[0].instances[0].path)
    assert [dcmread(each.path).PatientName for each in found] == [source.PatientName] * 2


@pytest.mark.parametrize("detector", ["chest", "wrist", "brain metastases"])
def test_orthanc_gives_them_back_byte_by_byte(
    detector: str, orthanc: Orthanc, destination: MakeDestination, tmp_path: Path
) -> None:
    peer = destination(orthanc.dicom_port, ae_title="ORTHANC")
    for document in pictures(detector, "present", tmp_path).values():
        receipt = deliver(document, peer)
        assert (receipt.delivered, receipt.detail) == (True, "0x0000 Success")
        stored = {dcmread(BytesIO(content)).SOPInstanceUID: content for content in orthanc.instances()}
        assert data_set_of(stored[document.sop_instance_uid]) == data_set_of(document.path.read_bytes())


@pytest.mark.parametrize(("detector", "state"), ALL)
def test_made_twice_they_are_the_same_bytes(detector: str, state: str, tmp_path: Path) -> None:
    one, other = (pictures(detector, state, tmp_path / name) for name in ("one", "other"))
    assert {k: d.path.read_bytes() for k, d in one.items()} == {k: d.path.read_bytes() for k, d in other.items()}
