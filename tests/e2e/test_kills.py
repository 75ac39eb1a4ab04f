"""kill -9 at the worst moments: every acknowledged image is there afterwards, and each study yields one SR."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from app.documents import DocumentKind
from app.outcomes import State
from app.study import uid_hash
from tests.e2e.conftest import Orthanc, Service, destination, documents, installed
from tests.integration.receive.dcmtk import parse, sending
from tests.integration.workflow.tiny import ct_slices, write_bundle, write_files

pytestmark = [pytest.mark.debian, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def service(folder: Path, orthanc: Orthanc) -> Iterator[Service]:
    """With a bundle that takes its time and writes down that it began."""
    write_bundle(folder / "bundles", delay_s=2, begun=folder / "begun")
    with installed(folder, bundles={"folder": str(folder / "bundles")}, destinations=[destination(orthanc)]) as service:
        service.start()
        yield service
        assert service.stop() == 0


def begun(service: Service) -> int:
    path = service.folder / "begun"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_the_worker_during_inference(service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
    studies = [ct_slices() for _ in range(2)]
    before = begun(service)
    for number, slices in enumerate(studies):
        write_files(tmp_path / str(number), slices)
    assert set(service.send(sorted(tmp_path.glob("*/*"))).statuses) == {0}
    service.until(lambda: begun(service) > before, "the first analysis")
    os.kill(service.child("worker"), signal.SIGKILL)
    for slices in studies:
        outcome = service.outcome(slices[0].StudyInstanceUID)
        assert outcome.state is State.DELIVERED
        assert len(documents(orthanc, outcome.study_uid, "SR")) == 1
    assert begun(service) == before + 3


def test_the_listener_during_a_transfer(service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
    slices = ct_slices(slices=400)
    write_files(tmp_path, slices)
    files = sorted(tmp_path.iterdir())
    folder = service.settings.spool.folder / "studies" / uid_hash(slices[0].StudyInstanceUID)
    with sending(service.settings.listener.port, files, calling_ae="SCANNER") as (process, log):
        service.until(lambda: folder.is_dir() and len(list(folder.iterdir())) > 40, "some images")
        os.kill(service.child("listener"), signal.SIGKILL)
        process.wait(60)
        answers = parse(log.read_text("utf-8", "replace"))
    acknowledged = [answer.file for answer in answers if answer.status == 0]
    assert 40 <= len(acknowledged) < len(files)
    spooled = {path.name.partition(".")[0]: path for path in folder.glob("*.dcm")}
    for file in acknowledged:
        sent = dcmread(file)
        assert dcmread(spooled[uid_hash(sent.SOPInstanceUID)]).PixelData == sent.PixelData
    service.until(lambda: set(service.send(files).statuses) == {0}, "the listener")
    service.until(lambda: len(service.outcome(slices[0].StudyInstanceUID).files) == len(files), "the whole study")
    outcome = service.outcome(slices[0].StudyInstanceUID)
    assert outcome.state is State.DELIVERED
    # What had come before the kill may have been a revision of its own; the whole study is one, with one SR.
    whole = {document.sop_instance_uid for document in outcome.documents if document.kind is DocumentKind.SR}
    kept = [sr.SOPInstanceUID for sr in documents(orthanc, outcome.study_uid, "SR")]
    assert [uid for uid in kept if uid in whole] == list(whole)


def test_the_whole_tree(service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
    slices = ct_slices()
    write_files(tmp_path, slices)
    before = begun(service)
    assert set(service.send(sorted(tmp_path.iterdir())).statuses) == {0}
    service.until(lambda: begun(service) > before, "the analysis")
    assert service.process
    service.process.kill()
    service.process.wait(10)
    service.start()
    outcome = service.outcome(slices[0].StudyInstanceUID)
    assert outcome.state is State.DELIVERED
    assert len(documents(orthanc, outcome.study_uid, "SR")) == 1
