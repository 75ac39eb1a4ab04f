"""STOW-RS to a real PACS (Orthanc's DICOMweb plugin): what we send is what it keeps, once."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path

import pytest
from pydicom import dcmread

from app.deliver import deliver, deliver_all, echo
from app.destinations import DicomWebDestination
from app.documents import DICOM_KINDS, Document
from app.errors import Rejected
from tests.integration.deliver.conftest import Orthanc, running_orthanc

pytestmark = pytest.mark.debian

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
TOKEN = f"Basic {base64.b64encode(b'vigil:secret').decode()}"


@pytest.fixture(scope="module")
def dicomweb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    assert PLUGIN.is_file(), "the Debian package orthanc-dicomweb is missing"
    with running_orthanc(
        tmp_path_factory.mktemp("orthanc"),
        token=TOKEN,
        Plugins=[str(PLUGIN)],
        DicomWeb={"Enable": True, "Root": "/dicom-web/"},
        AuthenticationEnabled=True,
        RegisteredUsers={"vigil": "secret"},
    ) as server:
        yield server


@pytest.fixture
def peer(dicomweb: Orthanc, tmp_path: Path) -> Callable[..., DicomWebDestination]:
    def make(token: str = TOKEN, url: str = "/dicom-web") -> DicomWebDestination:
        (tmp_path / "token").write_text(f"{token}\n")
        return DicomWebDestination.model_validate(
            {
                "kind": "dicomweb",
                "name": "archive",
                "url": f"http://127.0.0.1:{dicomweb.http_port}{url}",
                "token_file": tmp_path / "token",
                "timeout_s": 10,
            }
        )

    return make


def test_keeps_every_document_byte_by_byte_and_once(
    dicomweb: Orthanc, peer: Callable[..., DicomWebDestination], documents: tuple[Document, ...]
) -> None:
    dicom = [document for document in documents if document.kind in DICOM_KINDS]
    for _ in range(2):
        receipts = deliver_all(dicom, peer())
        assert [(each.delivered, each.detail) for each in receipts] == [(True, "200 OK")] * 2
    for document in dicom:
        (name,) = _orthanc_names(dicomweb, document)
        assert dicomweb.get(f"/instances/{name}/file") == document.path.read_bytes()
        assert _retrieved(dicomweb, document) == document.path.read_bytes()


def test_a_wrong_token_is_refused(dicomweb: Orthanc, peer: Callable[..., DicomWebDestination], sr: Document) -> None:
    with pytest.raises(Rejected, match=r"archive: 401 Unauthorized; is the token in token_file right\?"):
        deliver(sr, peer(token="Basic bm9ib2R5Ondyb25n"))


def test_what_is_no_dicom_file_is_refused(
    dicomweb: Orthanc, peer: Callable[..., DicomWebDestination], sr: Document, tmp_path: Path
) -> None:
    broken = replace(sr, path=tmp_path / "broken.dcm")
    broken.path.write_bytes(b"no DICOM at all")
    with pytest.raises(Rejected, match="archive: 400 Bad Request"):
        deliver(broken, peer())


def test_answers_a_search(dicomweb: Orthanc, peer: Callable[..., DicomWebDestination]) -> None:
    assert echo(peer()) == f"DICOMweb at http://127.0.0.1:{dicomweb.http_port} answers a search (QIDO-RS)"
    with pytest.raises(Rejected, match=r"404 Not Found; is the url right\?"):
        echo(peer(url="/elsewhere"))


def _orthanc_names(server: Orthanc, document: Document) -> list[str]:
    """Orthanc's own names of the stored copies of a document."""
    held = {name: json.loads(server.get(f"/instances/{name}/tags?simplify")) for name in _instances(server)}
    return [name for name, tags in held.items() if tags["SOPInstanceUID"] == document.sop_instance_uid]


def _instances(server: Orthanc) -> list[str]:
    found: list[str] = json.loads(server.get("/instances"))
    return found


def _retrieved(server: Orthanc, document: Document) -> bytes:
    """WADO-RS (PS3.18 section 10.4)."""
    header = dcmread(document.path, stop_before_pixels=True)
    path = f"/dicom-web/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}/instances/"
    wanted = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    body = server.get(f"{path}{header.SOPInstanceUID}", Accept=wanted)
    boundary = body.split(b"\r\n", 1)[0]
    assert boundary.startswith(b"--")
    head, _, rest = body.split(boundary)[1].partition(b"\r\n\r\n")
    assert message_from_bytes(head.strip()).get_content_type() == "application/dicom"
    return rest.removesuffix(b"\r\n")
