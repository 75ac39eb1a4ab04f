"""A real PACS: what we send is what it keeps."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from app.deliver import deliver, deliver_all, reachable, send_folder
from app.documents import Document, DocumentKind
from app.report import encode
from tests.allowlists.dciodvfy import errors
from tests.integration.deliver.conftest import MakeDestination, Orthanc
from tests.unit.report.factory import MADE_AT, make_study
from tests.unit.report.volumes import lesion_report

pytestmark = pytest.mark.debian


def test_keeps_the_documents_byte_by_byte(
    orthanc: Orthanc, documents: tuple[Document, ...], destination: MakeDestination, tmp_path: Path
) -> None:
    dicom = [document for document in documents if document.kind is not DocumentKind.JSON]
    peer = destination(orthanc.dicom_port, ae_title="ORTHANC")
    receipts = deliver_all(dicom, peer)
    assert [(r.delivered, r.detail) for r in receipts] == [(True, "0x0000 Success")] * 2
    stored = {dcmread(BytesIO(content)).SOPInstanceUID: content for content in orthanc.instances()}
    for document in dicom:
        fetched = tmp_path / "fetched.dcm"
        fetched.write_bytes(stored[document.sop_instance_uid])
        assert errors(fetched) == []
        assert dcmread(fetched) == dcmread(document.path)


def test_a_repeated_delivery_is_a_duplicate(orthanc: Orthanc, sr: Document, destination: MakeDestination) -> None:
    peer = destination(orthanc.dicom_port, ae_title="ORTHANC")
    assert [deliver(sr, peer).delivered for _ in range(2)] == [True, True]
    stored = [dcmread(BytesIO(content)).SOPInstanceUID for content in orthanc.instances()]
    assert stored.count(sr.sop_instance_uid) == 1


def test_answers_c_echo(orthanc: Orthanc, destination: MakeDestination) -> None:
    assert reachable(destination(orthanc.dicom_port, ae_title="ORTHANC")) is None


def test_takes_a_folder_of_images(orthanc: Orthanc, documents: tuple[Document, ...], tmp_path: Path) -> None:
    assert documents
    sent = send_folder([tmp_path / "study"], "127.0.0.1", orthanc.dicom_port, "ORTHANC", "SCANNER")
    assert [(result.path.name, result.delivered) for result in sent] == [(f"{i:03}.dcm", True) for i in range(4)]


def test_takes_real_images_in_their_own_transfer_syntaxes(orthanc: Orthanc, imaging_data: Path) -> None:
    """JPEG 2000, JPEG-LS near-lossless and plain, in one call."""
    folders = [imaging_data / "dicom" / "cr", imaging_data / "dicom" / "ct_head_slice"]
    sent = send_folder(folders, "127.0.0.1", orthanc.dicom_port, "ORTHANC", "SCANNER")
    assert [result.detail for result in sent] == ["0x0000 Success"] * 6
    syntaxes = {dcmread(BytesIO(content)).file_meta.TransferSyntaxUID for content in orthanc.instances()}
    assert syntaxes >= {dcmread(result.path).file_meta.TransferSyntaxUID for result in sent}


def test_keeps_segmentations_byte_by_byte(orthanc: Orthanc, destination: MakeDestination, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    made = encode(lesion_report(study, tmp_path / "results"), study, tmp_path / "results", made_at=MADE_AT)
    (document,) = [each for each in made if each.kind is DocumentKind.SEG]
    receipt = deliver(document, destination(orthanc.dicom_port, ae_title="ORTHANC"))
    assert (receipt.delivered, receipt.detail) == (True, "0x0000 Success")
    stored = {dcmread(BytesIO(content)).SOPInstanceUID: content for content in orthanc.instances()}
    fetched = tmp_path / "fetched.dcm"
    fetched.write_bytes(stored[document.sop_instance_uid])
    assert (errors(fetched), dcmread(fetched)) == ([], dcmread(document.path))
