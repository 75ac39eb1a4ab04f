"""The listener before real senders."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from structlog.testing import capture_logs

from app.receive.association import EventDrivenAssociation
from app.study import uid_hash
from tests.integration.receive.conftest import Listen, associated, store_raw
from tests.integration.receive.dcmtk import ROOT, echo, send, sending
from tests.unit.receive.objects import make_object, to_file

pytestmark = pytest.mark.debian


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def wait_until(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def test_echo(listen: Listen) -> None:
    with listen() as running:
        assert echo(running.port)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("MR_small.dcm", ["-xe"]),
        ("MR_small_implicit.dcm", ["-xi"]),
        ("MR_small_bigendian.dcm", ["-xb"]),
        ("image_dfl.dcm", ["-xd"]),
        ("MR_small_RLE.dcm", ["-xr"]),
        ("MR_small_jp2klossless.dcm", ["-xv"]),
        ("MR_small_jpeg_ls_lossless.dcm", ["-xt"]),
        ("JPGExtended.dcm", ["-xx"]),
        ("CT_small.dcm", []),
        ("reportsi.dcm", []),
        ("test-SR.dcm", []),
        ("waveform_ecg.dcm", []),
        ("rtplan.dcm", ["-xi"]),
    ],
)
def test_objects_are_stored_as_they_are_encoded(listen: Listen, name: str, options: list[str]) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    source = dcmread(path)
    with listen() as running:
        sent = send(running.port, [path], options=options)
        assert (sent.code, sent.statuses) == (0, (0x0000,)), sent.log[-2000:]
        (file,) = running.stored()
    stored = dcmread(file)
    assert stored.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    assert stored.file_meta.SourceApplicationEntityTitle == "STORESCU"
    assert stored.SOPInstanceUID == source.SOPInstanceUID
    assert stored.get("PixelData") == source.get("PixelData")


@pytest.mark.parametrize(
    ("name", "charset"), [("山田^太郎", "ISO_IR 192"), ("Люкceмбypг", "ISO_IR 144"), ("ﾔﾏﾀﾞ", "ISO_IR 13")]
)
def test_names_in_any_script_are_stored_byte_for_byte(listen: Listen, tmp_path: Path, name: str, charset: str) -> None:
    data = to_file(make_object("1.2.3", "1.2.4", SpecificCharacterSet=charset, PatientName=name))
    source = write(tmp_path, "name.dcm", data)
    with listen() as running:
        assert store_raw(running.port, source, CTImageStorage, ExplicitVRLittleEndian).Status == 0
        (file,) = running.stored()
    length = int.from_bytes(data[140:144], "little")
    assert file.read_bytes().endswith(data[144 + length :])
    assert dcmread(file).PatientName == name


def test_an_unknown_sop_class_is_stored(listen: Listen, tmp_path: Path) -> None:
    private = "1.2.826.0.1.3680043.9.3811.1.9999"
    source = write(tmp_path, "private.dcm", to_file(make_object("1.2.3", "1.2.4", SOPClassUID=private)))
    with listen() as running:
        assert store_raw(running.port, source, private, ExplicitVRLittleEndian).Status == 0
        assert len(running.stored()) == 1


def test_an_object_without_a_patient_is_stored(listen: Listen, tmp_path: Path) -> None:
    made = make_object("1.2.3", "1.2.4")
    del made.PatientID, made.PatientName
    with listen() as running:
        assert send(running.port, [write(tmp_path, "a.dcm", to_file(made))]).statuses == (0x0000,)


def test_the_same_images_again_make_nothing_new(listen: Listen, tmp_path: Path) -> None:
    files = [write(tmp_path, f"{n}.dcm", to_file(make_object("1.2.3", f"1.2.4.{n}"))) for n in range(3)]
    with listen() as running:
        for _ in range(2):
            assert send(running.port, files).statuses == (0, 0, 0)
        assert len(running.stored()) == 3


def test_only_listed_calling_titles_are_let_in(listen: Listen) -> None:
    with listen(peers=[{"ae_title": "CT1"}]) as running:
        assert echo(running.port, calling_ae="CT1")
        assert not echo(running.port, calling_ae="STRANGER")


def test_the_called_title_is_asked_for_where_required(listen: Listen) -> None:
    with listen(require_called_ae=True, ae_title="VIGIL") as running:
        assert echo(running.port, called_ae="VIGIL")
        assert not echo(running.port, called_ae="OTHER")


def test_a_disk_below_its_mark_refuses_and_asks_to_send_again(listen: Listen, tmp_path: Path) -> None:
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    with listen(min_free_mb=10**9) as running:
        sent = send(running.port, [source, source])
        assert sent.statuses == (0xA700, 0xA700)
        assert sent.answers[0].comment == "Not enough disk space, send again later"
        assert running.stored() == running.half_received() == []


def test_a_spool_that_fails_is_never_a_success(listen: Listen, tmp_path: Path) -> None:
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    with listen() as running:
        (running.folder / "incoming").rmdir()
        assert send(running.port, [source]).statuses == (0xA700,)
        (running.folder / "incoming").mkdir()
        assert send(running.port, [source]).statuses == (0x0000,)


@pytest.mark.parametrize(
    ("keyword", "value", "comment"),
    [
        ("StudyInstanceUID", None, "StudyInstanceUID (0020,000D) is missing or invalid"),
        ("StudyInstanceUID", "", "StudyInstanceUID (0020,000D) is missing or invalid"),
        ("StudyInstanceUID", "../../etc", "StudyInstanceUID (0020,000D) is missing or invalid"),
        ("SOPInstanceUID", None, "SOPInstanceUID (0008,0018) is missing or invalid"),
        ("SOPInstanceUID", "1.2.5", "SOPInstanceUID differs between command and data set"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_missing_and_wrong_uids_are_refused(
    listen: Listen, tmp_path: Path, keyword: str, value: str | None, comment: str
) -> None:
    made = make_object("1.2.3", "1.2.4")
    made[keyword].value = value
    if value is None:
        del made[keyword]
    data = to_file(made)
    # The command takes its UID from the file meta information.
    data = data.replace(b"UI\x06\x001.2.5\0", b"UI\x06\x001.2.4\0", 1)
    source = write(tmp_path, "a.dcm", data)
    with listen() as running:
        response = store_raw(running.port, source, CTImageStorage, ExplicitVRLittleEndian)
        assert running.stored() == running.half_received() == []
    if keyword == "SOPInstanceUID" and value is None:
        assert response.Status == 0xC000
    else:
        assert (response.Status, response.ErrorComment) == (0xC000, comment)


def test_a_data_set_in_another_encoding_than_agreed_is_refused(listen: Listen, tmp_path: Path) -> None:
    data = to_file(make_object("1.2.3", "1.2.4"), ImplicitVRLittleEndian)
    data = data.replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0", 1).replace(b"UI\x12\x00", b"UI\x14\x00", 1)
    data = data[:140] + (int.from_bytes(data[140:144], "little") + 2).to_bytes(4, "little") + data[144:]
    source = write(tmp_path, "a.dcm", data)
    with listen() as running:
        response = store_raw(running.port, source, CTImageStorage, ExplicitVRLittleEndian)
        assert response.Status == 0xC000
        assert running.stored() == running.half_received() == []


def test_a_sender_that_breaks_off_leaves_nothing(listen: Listen, tmp_path: Path) -> None:
    big = make_object("1.2.3", "1.2.4", PixelData=b"\0" * 50_000_000, Rows=5000, Columns=5000, BitsAllocated=16)
    big.BitsStored, big.HighBit, big.PixelRepresentation, big.SamplesPerPixel = 16, 15, 0, 1
    source = write(tmp_path, "big.dcm", to_file(big))
    with listen() as running:
        with sending(running.port, [source]) as (process, _):
            wait_until(lambda: running.half_received() or process.poll() is not None)
            process.kill()
        wait_until(lambda: not running.half_received())
        wait_until(lambda: not list((running.folder / "associations").iterdir()))
        assert len(running.stored()) <= 1
        assert send(running.port, [source]).statuses == (0x0000,)
        assert len(running.stored()) == 1


def test_a_truncated_message_leaves_nothing(listen: Listen) -> None:
    with listen() as running:
        with associated(running.port) as association:
            raw = association.dul.socket.socket
            command = (
                b"\0\0\2\0\x0a\0\0\x001.2.840.1\0" b"\0\0\0\1\2\0\0\0\1\0" b"\0\0\x10\1\2\0\0\0\1\0"
                b"\0\0\0\x08\2\0\0\0\0\0" b"\0\0\0\x10\6\0\0\x001.2.4\0"
            )  # fmt: skip
            for control, payload, missing in ((3, command, 0), (0, b"x" * 5000, 70000)):
                length = len(payload) + missing
                head = b"\4\0" + (length + 6).to_bytes(4, "big") + (length + 2).to_bytes(4, "big")
                raw.sendall(head + bytes([1, control]) + payload)
            wait_until(lambda: len(running.half_received()) == 1)
        wait_until(lambda: running.half_received() == [])
        assert running.stored() == []


def test_a_sender_that_stalls_is_dropped(listen: Listen) -> None:
    with listen(dimse_timeout_s=0.5) as running, associated(running.port) as association:
        association.dul.socket.socket.sendall(b"\4\0\0\0\1\0" + b"\0\0\0\xfc\1\3")
        wait_until(lambda: association.is_aborted or not association.is_established, 5)


def test_an_idle_association_is_aborted(listen: Listen) -> None:
    with listen(network_timeout_s=0.5) as running, associated(running.port) as association:
        wait_until(lambda: association.is_aborted, 5)


@pytest.mark.parametrize(
    "pdu",
    [
        b"\4\0\0\0\0\x0a" + b"\0\0\0\xff\1\3\0\0\0\0",  # an item longer than its PDU
        b"\4\0\0\0\0\x08" + b"\0\0\0\4\1\2ab",  # a data set without a command
        b"\4\0\0\0\0\x08" + b"\0\0\0\4\x63\3ab",  # a context nobody agreed on
        b"\5\0\xff\xff\xff\xff",  # a release request of four gigabytes
        b"\x09\0\0\0\0\0",  # no PDU at all
    ],
)
def test_nonsense_ends_the_association_and_only_that(listen: Listen, pdu: bytes) -> None:
    with listen() as running:
        with associated(running.port) as association:
            association.dul.socket.socket.sendall(pdu)
            wait_until(lambda: association.is_aborted, 5)
        assert echo(running.port)


def test_connections_that_say_nothing_do_not_use_up_the_associations(listen: Listen) -> None:
    with listen(max_associations=2) as running:
        for _ in range(10):
            socket.create_connection(("127.0.0.1", running.port)).close()
        wait_until(lambda: echo(running.port), 5)


def test_associations_beyond_the_limit_are_rejected(listen: Listen) -> None:
    with listen(max_associations=2) as running:
        with associated(running.port) as first, associated(running.port) as second:
            assert first.is_established
            assert second.is_established
            accepted = echo(running.port)
            served = [each for each in threading.enumerate() if isinstance(each, EventDrivenAssociation)]
            assert not accepted, (first, first.is_established, second, second.is_established, served)
        wait_until(lambda: echo(running.port))


def test_an_association_counts_for_its_study_until_it_ends(listen: Listen, tmp_path: Path) -> None:
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    with listen() as running:
        with associated(running.port) as association:
            assert association.send_c_store(source).Status == 0
            (arrival,) = running.spool.arrivals()
            assert (arrival.key, arrival.open_associations) == (uid_hash("1.2.3"), 1)
            (served,) = [one for one in threading.enumerate() if isinstance(one, EventDrivenAssociation)]
            assert served.dul.socket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            association.release()
        wait_until(lambda: running.spool.arrivals()[0].open_associations == 0)


def ended(how: str, listen: Listen, source: Path) -> bool:
    """Whether the study counts as interrupted after one image and that end of the association."""
    with listen(network_timeout_s=1) as running:
        with associated(running.port) as association:
            assert association.send_c_store(source).Status == 0
            if how == "released":
                association.release()
            elif how == "aborted":
                association.abort()
            elif how == "connection lost":
                association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: not list((running.folder / "associations").iterdir()), 5)
        (arrival,) = running.spool.arrivals()
        assert arrival.open_associations == 0
        return arrival.interrupted


@pytest.mark.parametrize(
    ("how", "interrupted"),
    [("released", False), ("aborted", True), ("connection lost", True), ("silent until the time-out", True)],
)
def test_only_a_release_says_that_the_sender_has_finished(
    listen: Listen, tmp_path: Path, how: str, interrupted: bool
) -> None:
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    assert ended(how, listen, source) is interrupted


def test_a_sender_that_aborts_and_comes_back_has_finished(listen: Listen, tmp_path: Path) -> None:
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    assert ended("aborted", listen, source)
    assert not ended("released", listen, source)


def test_a_listener_that_is_stopped_in_the_middle_leaves_the_mark(
    listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.receive.listener.GRACE_S", 1.0)
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    with listen() as running, contextlib.ExitStack() as stack:
        assert stack.enter_context(associated(running.port)).send_c_store(source).Status == 0
        stack.pop_all()
    assert [arrival.interrupted for arrival in running.spool.arrivals()] == [True]


def test_associations_without_images_are_no_news(listen: Listen, tmp_path: Path) -> None:
    source = write(tmp_path, "a.dcm", to_file(make_object("1.2.3", "1.2.4")))
    with capture_logs() as logs, listen() as running:
        assert echo(running.port)
        socket.create_connection(("127.0.0.1", running.port)).close()
        assert send(running.port, [source]).statuses == (0x0000,)
    ends = [(each["log_level"], each["images"]) for each in logs if each["event"] == "association_ended"]
    assert ends == [("debug", 0), ("info", 1)]


def test_the_listener_never_imports_torch() -> None:
    program = "import sys, app.receive.listener; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
