"""Every detector in every state: SR, segmentation and key images before judges of another code base, then a PACS."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import SimpleITK
from pydicom import Dataset, dcmread

from app.deliver import deliver_all
from app.documents import ALWAYS_MADE, DICOM_KINDS, Document, DocumentKind
from app.findings import Predecessor, Presence
from app.report import encode
from app.report.words import disclaimer
from tests.allowlists.dciodvfy import errors
from tests.integration.deliver.conftest import MakeDestination, Orthanc
from tests.unit.report.cases import ALL, BRAIN, DETECTORS, STATES, made
from tests.unit.report.factory import MADE_AT

pytestmark = pytest.mark.debian
SUPERSEDING = "superseding"
"""Not a state of the analysis: a later revision that points back to the report it stands for."""
CASES = [*ALL, *((detector, SUPERSEDING) for detector in DETECTORS)]
DCMQI = Path(sys.executable).with_name("segimage2itkimage")
DCMQI_READS = 256
"""The largest segment number of an ITK image of bytes."""


def documents(detector: str, state: str, folder: Path, kinds: frozenset[DocumentKind] = ALWAYS_MADE) -> list[Document]:
    """The DICOM objects, by default those that a PACS gets unasked; nothing may be missing or have a problem."""
    study, report = made(detector, state if state in STATES else "present", folder)
    # A revision of its own, so that no document has the UID of another case's.
    report = replace(report, revision=f"{CASES.index((detector, state)):016x}")
    if state == SUPERSEDING:
        earlier = Predecessor("e" * 16, report.series_uid, report.stack, report.algorithm.version)
        report = replace(report, replaces=(earlier,))
    window = BRAIN if study.series[0].modality == "CT" else None
    found = encode(report, study, folder / "out", window=window, made_at=MADE_AT, kinds=kinds)
    assert [each.problem for each in found] == [""] * len(found)
    assert {each.kind for each in found} <= ALWAYS_MADE | kinds
    outlined = any(each.lesions for each in report.findings) or any(each.segment for each in report.structures)
    assert (DocumentKind.SEG in {each.kind for each in found}) == outlined
    return [each for each in found if each.kind in DICOM_KINDS]


@pytest.mark.parametrize(("detector", "state"), CASES)
def test_dciodvfy_finds_no_error(detector: str, state: str, tmp_path: Path) -> None:
    found = documents(detector, state, tmp_path)
    assert {each.path.name: errors(each.path) for each in found} == {each.path.name: [] for each in found}


@pytest.mark.parametrize(("detector", "state"), CASES)
def test_dsrdump_reads_what_was_said(detector: str, state: str, tmp_path: Path) -> None:
    """dcmtk's reader checks the content tree by itself, and shows each answer in the words of its code."""
    _, report = made(detector, state if state in STATES else "present", tmp_path / "same")
    sr = documents(detector, state, tmp_path)[0]
    assert sr.kind is DocumentKind.SR
    done = subprocess.run(["dsrdump", "+Pl", sr.path], capture_output=True, check=True, timeout=60)
    text = done.stdout.decode()
    assert done.stderr == b""
    presence = [line.split('"')[-2].lower() for line in text.splitlines() if '"Presence of property"' in line]
    assert presence == [finding.presence.value for finding in report.findings]
    if state not in {"present", "absent", SUPERSEDING}:
        assert Presence.ABSENT.value not in presence
    assert disclaimer(report.algorithm) in text
    assert report.reason in text
    assert ("Predecessor" in text) == (state == SUPERSEDING)


@pytest.mark.parametrize(("detector", "state"), CASES)
def test_all_that_a_report_refers_to_is_in_its_evidence(detector: str, state: str, tmp_path: Path) -> None:
    """And every analysed image is, referred to or not (PS3.3 C.17.2)."""
    study, _ = made(detector, "present", tmp_path / "same")
    sr = dcmread(documents(detector, state, tmp_path)[0].path)
    (item,) = sr.CurrentRequestedProcedureEvidenceSequence
    assert item.StudyInstanceUID == sr.StudyInstanceUID
    listed = [sop for series in item.ReferencedSeriesSequence for sop in series.ReferencedSOPSequence]
    evidence = {each.ReferencedSOPInstanceUID: each.ReferencedSOPClassUID for each in listed}
    assert len(evidence) == len(listed)
    content = Dataset()
    content.ContentSequence = sr.ContentSequence
    referred = {
        each.value[0].ReferencedSOPInstanceUID: each.value[0].ReferencedSOPClassUID
        for each in content.iterall()
        if each.keyword == "ReferencedSOPSequence"
    }
    assert referred.items() <= evidence.items()
    images = {each.sop_instance_uid for series in study.series for each in series.instances}
    assert images <= set(evidence)


@pytest.mark.parametrize("detector", ["head CT with a region", "brain metastases", "structures"])
def test_dcmqi_reads_every_segment(detector: str, tmp_path: Path) -> None:
    found = documents(detector, "present", tmp_path)
    for document in (each for each in found if each.kind is DocumentKind.SEG):
        numbers = {int(segment.SegmentNumber) for segment in dcmread(document.path).SegmentSequence}
        assert max(numbers) < DCMQI_READS
        with tempfile.TemporaryDirectory() as out:
            command = [DCMQI, "--inputDICOM", document.path, "--outputDirectory", out, "--outputType", "nrrd"]
            subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)
            images = [SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(each))) for each in Path(out).glob("*.nrrd")]
            assert {int(value) for image in images for value in image.ravel()} - {0} == numbers


def test_orthanc_gives_every_document_back_byte_by_byte(
    orthanc: Orthanc, destination: MakeDestination, tmp_path: Path
) -> None:
    peer = destination(orthanc.dicom_port, ae_title="ORTHANC", documents=sorted(DICOM_KINDS))
    sent: dict[str, bytes] = {}
    for number, (detector, state) in enumerate(CASES):
        found = documents(detector, state, tmp_path / str(number), DICOM_KINDS)
        receipts = deliver_all(found, peer)
        assert {receipt.detail for receipt in receipts} == {"0x0000 Success"}
        sent |= {each.sop_instance_uid: _data_set(each.path.read_bytes()) for each in found}
    assert len(sent) >= 2 * len(CASES)  # an SR and a page each
    stored = {dcmread(BytesIO(content)).SOPInstanceUID: _data_set(content) for content in orthanc.instances()}
    assert {uid: stored.get(uid) == content for uid, content in sent.items()} == dict.fromkeys(sent, True)


def _data_set(content: bytes) -> bytes:
    """A DICOM file without its file meta information, which whoever stores it writes anew (PS3.10 7.1)."""
    return content[144 + int.from_bytes(content[140:144], "little") :]
