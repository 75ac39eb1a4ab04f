"""The listener's process: killed, stopped, multiplied."""

import socket
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from app.receive.spool import Spool
from app.study import uid_hash
from tests.integration.receive.dcmtk import echo, listener, parse, send, sending
from tests.unit.receive.objects import make_object, to_file

pytestmark = pytest.mark.debian


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    files = []
    for number in range(150):
        made = make_object("1.2.3", f"1.2.4.{number}", Rows=256, Columns=256, BitsAllocated=16, BitsStored=12)
        made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 11, 0, 1
        made.PixelData = number.to_bytes(2, "little") * 65536
        file = folder / f"{number:03d}.dcm"
        file.write_bytes(to_file(made))
        files.append(file)
    return files


def test_after_kill_9_every_acknowledged_image_is_there_and_whole(tmp_path: Path, images: list[Path]) -> None:
    with listener(tmp_path) as running:
        spool = Spool(running.spool, 0)
        with sending(running.port, images) as (process, log):
            deadline = time.monotonic() + 30
            while len(spool.files(uid_hash("1.2.3"))) < 20:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            running.kill()
            process.wait(30)
            answers = parse(log.read_text("utf-8", "replace"))
    acknowledged = {dcmread(answer.file).SOPInstanceUID for answer in answers if answer.status == 0}
    stored = {instance.SOPInstanceUID: instance for instance in map(dcmread, spool.files(uid_hash("1.2.3")))}
    assert 15 < len(acknowledged) < len(images)
    assert acknowledged <= stored.keys()
    for uid, instance in stored.items():
        assert instance.PixelData == int(uid.rpartition(".")[2]).to_bytes(2, "little") * 65536
    with listener(tmp_path) as running:
        assert list((running.spool / "incoming").iterdir()) == []
        assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, True)]
        assert send(running.port, images).statuses == (0,) * len(images)
        # The sender has our answer to its release a moment before its end is told.
        deadline = time.monotonic() + 30
        while (told := [(each.open_associations, each.interrupted) for each in spool.arrivals()]) != [(0, False)]:
            assert time.monotonic() < deadline, told
            time.sleep(0.01)
    assert len(spool.files(uid_hash("1.2.3"))) == len(images)


def test_sigterm_lets_the_running_association_finish(tmp_path: Path, images: list[Path]) -> None:
    with listener(tmp_path) as running:
        spool = Spool(running.spool, 0)
        with sending(running.port, images) as (process, log):
            while len(spool.files(uid_hash("1.2.3"))) < 5:
                time.sleep(0.005)
            assert running.terminate() == 0
            process.wait(10)
            statuses = [answer.status for answer in parse(log.read_text("utf-8", "replace"))]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port))
    assert statuses.count(0) == len(spool.files(uid_hash("1.2.3")))
    assert [path.name for path in (running.spool / "incoming").iterdir()] == []


def test_several_processes_share_the_port(tmp_path: Path, images: list[Path]) -> None:
    with listener(tmp_path, processes=2) as running:
        assert echo(running.port)
        for part in range(3):
            assert send(running.port, images[part::3]).statuses == (0,) * 50
        assert len(Spool(running.spool, 0).files(uid_hash("1.2.3"))) == len(images)
        assert running.terminate() == 0
