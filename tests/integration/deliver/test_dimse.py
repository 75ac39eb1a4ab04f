"""Deliveries to a stand-in PACS over real sockets, and all the ways in which they fail."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom import build_context
from structlog.testing import capture_logs

from app.deliver import Sender, deliver, deliver_all, reachable, send_folder
from app.deliver.association import Peer, associate, close
from app.demo.pacs import Faults, Pacs
from app.documents import Document, DocumentKind, Receipt
from app.errors import AppError, Rejected, Retryable
from tests.integration.deliver.conftest import MakeDestination
from tests.unit.report.factory import make_study, write_ct


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_document_arrives_as_it_was_written(sr: Document, destination: MakeDestination, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs") as pacs:
        receipt = deliver(sr, destination(pacs.port))
        (arrived,) = pacs.arrived
    assert receipt == Receipt("pacs", sr.path.name, delivered=True, attempts=1, detail="0x0000 Success")
    assert (arrived.sop_instance_uid, arrived.calling_ae) == (sr.sop_instance_uid, "VIGIL")
    assert dcmread(arrived.path) == dcmread(sr.path)


def test_several_documents_share_an_association(
    sr: Document, key: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    with Pacs(tmp_path / "pacs") as pacs, Sender((sr, key), destination(pacs.port)) as sender:
        assert [sender.send(document).delivered for document in (sr, key)] == [True, True]


def test_the_same_document_twice_is_one(sr: Document, destination: MakeDestination, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs") as pacs:
        for _ in range(2):
            deliver(sr, destination(pacs.port))
        assert len({arrived.path for arrived in pacs.arrived}) == 1


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_is_a_delivery_and_is_told(
    status: int, sr: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    with Pacs(tmp_path / "pacs", faults=Faults(status=status)) as pacs:
        receipt = deliver(sr, destination(pacs.port))
    assert (receipt.delivered, receipt.detail.split()[0]) == (True, f"0x{status:04X}")


FAULTS = {
    "out of resources": (Faults(status=0xA700), Retryable, "pacs: 0xA700 Out of resources"),
    "processing failure": (Faults(status=0x0110), Retryable, "pacs: 0x0110 Processing failure"),
    "too busy": (Faults(reject="transient"), Retryable, "association rejected: Local limit exceeded"),
    "hangs": (Faults(hang_s=30), Retryable, "no answer after"),
    "aborts": (Faults(abort=True), Retryable, "the peer aborted after"),
    "does not match": (Faults(status=0xA900), Rejected, "pacs: 0xA900 Data set does not match SOP class"),
    "cannot understand": (Faults(status=0xC123), Rejected, "pacs: 0xC123 Cannot understand"),
    "not authorised": (Faults(status=0x0124), Rejected, "pacs: 0x0124 Not authorised"),
    "unknown status": (Faults(status=0x8888), Rejected, "pacs: 0x8888 Unknown failure"),
    "unknown title": (Faults(reject="permanent"), Rejected, "association rejected: Called AE title not recognised"),
    "no storage": (Faults(storage=False), Rejected, "SOP class not supported"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_tells_whether_to_try_again(
    fault: str, sr: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    faults, kind, words = FAULTS[fault]
    with Pacs(tmp_path / "pacs", faults=faults) as pacs:
        with pytest.raises(AppError) as caught:
            deliver(sr, destination(pacs.port, timeout_s=1.0))
        assert (caught.type, words in str(caught.value)) == (kind, True)
        assert pacs.arrived == ()  # so the one that hangs was given up before it answered


@pytest.mark.parametrize("fault", FAULTS)
def test_no_failure_is_hidden_among_several(
    fault: str, sr: Document, key: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    with Pacs(tmp_path / "pacs", faults=FAULTS[fault][0]) as pacs:
        receipts = deliver_all((sr, key), destination(pacs.port, timeout_s=1.0))
    assert [(r.document, r.delivered) for r in receipts] == [(sr.path.name, False), (key.path.name, False)]


def test_fails_twice_then_accepts(sr: Document, destination: MakeDestination, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs", faults=Faults(status=0xA700, times=2)) as pacs:
        peer = destination(pacs.port)
        for _ in range(2):
            with pytest.raises(Retryable):
                deliver(sr, peer)
        assert deliver(sr, peer).delivered


def test_nobody_listens(sr: Document, destination: MakeDestination, free_port: int) -> None:
    with pytest.raises(Retryable, match="is the peer running, and are host and port right"):
        deliver(sr, destination(free_port))


@pytest.mark.timeout(25)
def test_a_peer_that_never_speaks_is_given_up(sr: Document, destination: MakeDestination) -> None:
    """By the destination's own limit: pynetdicom's would be 30 s, later than this test may take."""
    with silent() as port, pytest.raises(Retryable, match="aborted or not answered in time"):
        deliver(sr, destination(port, timeout_s=0.5))


def test_json_and_missing_files_are_refused_before_anyone_is_called(
    documents: tuple[Document, ...], sr: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    as_json = next(document for document in documents if document.kind is DocumentKind.JSON)
    text = replace(sr, path=tmp_path / "text.dcm")
    text.path.write_text("no DICOM")
    for document, words in (
        (as_json, "json is no DICOM object"),
        (replace(sr, path=tmp_path / "gone.dcm"), "is not there"),
        (replace(sr, problem="ValueError at sr.py:1"), "was never made"),
        (text, "no DICOM file"),
    ):
        with pytest.raises(Rejected, match=words):
            deliver(document, destination(1))


def test_a_document_that_cannot_be_sent_does_not_stop_the_others(
    documents: tuple[Document, ...], destination: MakeDestination, tmp_path: Path
) -> None:
    """SR, a key image whose file is gone, JSON."""
    documents[1].path.unlink()
    with Pacs(tmp_path / "pacs") as pacs:
        receipts = deliver_all(documents, destination(pacs.port))
    assert [(r.document, r.delivered) for r in receipts] == [
        (document.path.name, document.kind is DocumentKind.SR) for document in documents
    ]


def test_one_kind_that_is_not_wanted_does_not_stop_the_other(
    sr: Document, key: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    """A document of a kind that was not proposed when the association was opened."""
    with Pacs(tmp_path / "pacs") as pacs, Sender((sr,), destination(pacs.port)) as sender:
        with pytest.raises(Rejected, match="leave it out of the destination's documents"):
            sender.send(key)
        assert sender.send(sr).delivered


def test_the_log_tells_nothing_of_the_patient(sr: Document, destination: MakeDestination, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs") as pacs, capture_logs() as logs:
        deliver(sr, destination(pacs.port))
    header = dcmread(sr.path)
    text = json.dumps(logs, default=str)
    secrets = (str(header.PatientName), header.PatientID, header.StudyInstanceUID, header.SOPInstanceUID)
    assert ([log["event"] for log in logs], [secret in text for secret in secrets]) == (
        ["document_sent"],
        [False] * 4,
    )


def test_no_small_packet_waits_for_another(sr: Document, destination: MakeDestination, tmp_path: Path) -> None:
    """How quick that is, is measured in tests/benchmarks/documents.py."""
    with Pacs(tmp_path / "pacs") as pacs, Sender((sr,), destination(pacs.port)) as sender:
        connection = sender._association.dul.socket.socket
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sender.send(sr).delivered


def test_reachable_says_what_to_do(destination: MakeDestination, free_port: int, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs") as pacs:
        assert reachable(destination(pacs.port)) is None
    with Pacs(tmp_path / "pacs", faults=Faults(reject="permanent")) as pacs:
        assert "are both AE titles known to the peer?" in (reachable(destination(pacs.port)) or "")
    assert "is the peer running" in (reachable(destination(free_port)) or "")


def test_sends_a_folder_and_reports_each_failure_by_file(tmp_path: Path) -> None:
    make_study(tmp_path / "in" / "study", slices=3)
    (tmp_path / "in" / "notes.txt").write_text("not DICOM")
    seen = []
    with Pacs(tmp_path / "pacs") as pacs:
        sent = send_folder(
            [tmp_path / "in", tmp_path / "gone.dcm"], "127.0.0.1", pacs.port, "PACS", "SCANNER", on_progress=seen.append
        )
        assert len(pacs.arrived) == 3
    assert tuple(seen) == sent
    assert {result.path.name: result.delivered for result in sent} == {
        "notes.txt": False,
        "gone.dcm": False,
        "000.dcm": True,
        "001.dcm": True,
        "002.dcm": True,
    }


def test_sends_more_kinds_of_object_than_fit_one_association(tmp_path: Path) -> None:
    """130 SOP classes, of which an association can propose 128."""
    for index in range(130):
        path = tmp_path / "in" / f"{index:03}.dcm"
        path.parent.mkdir(exist_ok=True)
        write_ct(path, index)
        image = dcmread(path)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = f"1.2.826.0.1.3680043.8.498.9.{index}"
        image.save_as(path)
    with Pacs(tmp_path / "pacs") as pacs:
        sent = send_folder([tmp_path / "in"], "127.0.0.1", pacs.port, "PACS", "SCANNER")
        assert ([result.delivered for result in sent], len(pacs.arrived)) == ([True] * 130, 130)


def test_a_folder_goes_on_after_an_aborted_association(tmp_path: Path) -> None:
    make_study(tmp_path / "in", slices=3)
    with Pacs(tmp_path / "pacs", faults=Faults(abort=True)) as pacs:
        sent = send_folder([tmp_path / "in"], "127.0.0.1", pacs.port, "PACS", "SCANNER", timeout_s=2)
    assert [(result.delivered, "aborted" in result.detail) for result in sent] == [(False, True)] * 3


def test_a_folder_to_nobody_fails_at_once_for_every_file(tmp_path: Path, free_port: int) -> None:
    make_study(tmp_path / "in", slices=3)
    sent = send_folder([tmp_path / "in"], "127.0.0.1", free_port, "PACS", "SCANNER")
    assert [(result.delivered, "is the peer running" in result.detail) for result in sent] == [(False, True)] * 3


def test_the_pacs_waits_for_what_is_expected(sr: Document, destination: MakeDestination, tmp_path: Path) -> None:
    with Pacs(tmp_path / "pacs") as pacs:
        assert pacs.wait(lambda arrived: len(arrived) == 1, timeout_s=0.05) is False
        deliver(sr, destination(pacs.port))
        assert pacs.wait(lambda arrived: len(arrived) == 1, timeout_s=1) is True
        assert pacs.arrived[0].sop_class_uid == Comprehensive3DSRStorage


def test_an_association_that_broke_at_its_end_is_closed_all_the_same(tmp_path: Path) -> None:
    """As where the upper layer fails: the loop ends, and had last said that it is not paused."""
    with Pacs(tmp_path / "pacs") as pacs:
        peer = Peer("127.0.0.1", pacs.port, "PACS", "VIGIL", timeout_s=1)
        association = associate(peer, [build_context(Comprehensive3DSRStorage)])
        association._kill = True
        association.join(10)
        assert not association.is_alive()
        # The sender has not heard of it yet.
        association.is_established = True
        closing = Thread(target=close, args=(association,), daemon=True)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
