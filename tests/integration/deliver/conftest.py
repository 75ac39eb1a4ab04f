import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.destinations import DicomDestination
from app.documents import Document, DocumentKind
from app.report import encode
from tests.integration.deliver.certificates import Certificates
from tests.unit.report.factory import MADE_AT, make_report, make_study

MakeDestination = Callable[..., DicomDestination]


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc (Debian package) on free ports of the loopback interface."""

    dicom_port: int
    http_port: int
    token: str = ""

    def get(self, path: str, **headers: str) -> bytes:
        asked = {"Authorization": self.token, **headers} if self.token else headers
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", headers=asked)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def instances(self) -> list[bytes]:
        """The stored objects, as DICOM files."""
        return [self.get(f"/instances/{name}/file") for name in json.loads(self.get("/instances"))]


@pytest.fixture
def documents(tmp_path: Path) -> tuple[Document, ...]:
    """SR, key image and JSON of a head CT with a bleed."""
    return encode(make_report(), make_study(tmp_path / "study"), tmp_path / "results", made_at=MADE_AT)


@pytest.fixture
def sr(documents: tuple[Document, ...]) -> Document:
    return next(document for document in documents if document.kind is DocumentKind.SR)


@pytest.fixture
def key(documents: tuple[Document, ...]) -> Document:
    return next(document for document in documents if document.kind is DocumentKind.KEY_IMAGE)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    folder = tmp_path / "certificates"
    folder.mkdir()
    return Certificates(folder)


@pytest.fixture
def destination() -> MakeDestination:
    def make(port: int, **changes: object) -> DicomDestination:
        values = {"name": "pacs", "host": "127.0.0.1", "port": port, "ae_title": "PACS", "timeout_s": 5.0}
        return DicomDestination.model_validate(values | changes)

    return make


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@contextmanager
def running_orthanc(folder: Path, token: str = "", **changes: object) -> Iterator[Orthanc]:
    """Orthanc with these changes to its configuration; `token` is what it asks for in Authorization."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        server = Orthanc(one.getsockname()[1], other.getsockname()[1], token)
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "DicomAet": "ORTHANC",
        "DicomPort": server.dicom_port,
        "HttpPort": server.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        **changes,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    program = shutil.which("Orthanc", path=f"/usr/sbin:{os.environ['PATH']}")
    assert program, "the Debian package orthanc is missing"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(server: Orthanc, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, "Orthanc ended while starting"
        try:
            server.get("/system")
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Orthanc did not start within 20 s")
