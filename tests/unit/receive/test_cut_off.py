"""A sender that is cut off in the middle of an image leaves no whole study, whatever others send meanwhile."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from app.receive import incoming as incoming_module
from app.receive.dataset import file_header
from app.receive.incoming import Incoming, identity_of
from app.receive.presence import Presence
from app.receive.spool import Spool
from app.receive.upload import Upload
from app.study import uid_hash
from tests.unit.receive.objects import encode, make_object, to_file
from tests.unit.receive.test_interruptions import KEY, killed_in_the_middle, pause, put
from tests.unit.receive.test_storage import Peer, command

FIRST, SECOND = "1.2.3", "1.2.4"
LONG = {"PixelData": b"\0" * 400_000, "BitsAllocated": 8}
"""So that something of it is written before it has come."""


class Associated:
    """A sender by C-STORE."""

    def __init__(self, folder: Path) -> None:
        self._peer = Peer(folder)

    def send(self, sop: str, *, half: bool = False) -> None:
        self._peer.say(3, command(sop=sop))
        encoded = encode(make_object("1.2", sop))
        self._peer.say(0 if half else 2, encoded[:-10] if half else encoded)

    def break_off(self) -> None:
        self._peer.service.close(released=False)


class Uploading:
    """A sender by HTTP."""

    def __init__(self, folder: Path) -> None:
        self._upload = Upload(Spool(folder, 0), 1 << 20)
        self._arriving = self._upload.receive("")

    def send(self, sop: str, *, half: bool = False) -> None:
        content = to_file(make_object("1.2", sop))
        self._arriving = self._upload.receive(sop)
        self._arriving.write(content[:-10] if half else content)
        if not half:
            self._arriving.finish()

    def break_off(self) -> None:
        self._arriving.break_off()
        self._upload.close(finished=False)


Sender = Associated | Uploading


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 0)


@pytest.fixture(params=[Associated, Uploading])
def sender(request: pytest.FixtureRequest, tmp_path: Path) -> Sender:
    made: Sender = request.param(tmp_path / "spool")
    return made


def begin(spool: Spool, presence: Presence, sop: str = SECOND) -> Incoming:
    return spool.open(
        presence,
        sop_class_uid=CTImageStorage,
        sop_instance_uid=sop,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae="CT1",
    )


@pytest.mark.parametrize("speaks", ["before the other", "beside it"])
@pytest.mark.parametrize("ends", ["during", "after"])
def test_an_image_that_nobody_else_has_is_missed(ends: str, speaks: str, sender: Sender, spool: Spool) -> None:
    sender.send(FIRST)
    if speaks == "before the other":
        sender.send(SECOND, half=True)
    pause()
    again = spool.attend()
    put(spool, again, FIRST)
    if speaks == "beside it":
        pause()
        sender.send(SECOND, half=True)
    if ends == "during":
        sender.break_off()
    spool.leave(again, released=True)
    if ends == "after":
        sender.break_off()
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, True)]


@pytest.mark.parametrize("ends", ["early", "late", "after"])
def test_one_that_came_wholly_by_another_way_is_not(ends: str, sender: Sender, spool: Spool) -> None:
    """As where the network was lost, and the sender came back long before the first association timed out."""
    sender.send(FIRST)
    sender.send(SECOND, half=True)
    pause()
    again = spool.attend()
    put(spool, again, FIRST)
    if ends == "early":
        sender.break_off()
    put(spool, again, SECOND)
    if ends == "late":
        sender.break_off()
    spool.leave(again, released=True)
    if ends == "after":
        sender.break_off()
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, False)]


def test_a_sender_in_a_long_image_is_not_silent(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5_000_000_000]
    monkeypatch.setattr(incoming_module.time, "time_ns", lambda: now[0])
    heard = list[int]()
    folder = spool._incoming
    image = Incoming(
        folder / "x",
        b"",
        SECOND,
        ExplicitVRLittleEndian,
        lambda *_: pytest.fail("placed"),
        hear=lambda: heard.append(now[0]),
    )
    for _ in range(400):
        image.write(b"\0\0")
        now[0] += 10_000_000
    assert [at // 1_000_000_000 for at in heard] == [5, 6, 7, 8]
    assert image.heard == now[0] - 10_000_000
    now[0] = 1_000_000_000
    image.write(b"\0\0")
    assert heard[-1] == now[0], "the clock was set back"
    image.discard()


@pytest.mark.parametrize("speaks", ["begins", "goes on"])
def test_so_that_nobody_excuses_it(speaks: str, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming_module, "_HEARD_EVERY_NS", 0)
    long = spool.attend()
    put(spool, long, FIRST)
    image = begin(spool, long) if speaks == "goes on" else None
    pause()
    again = spool.attend()
    put(spool, again, FIRST)
    pause()
    image = image or begin(spool, long)
    if speaks == "goes on":
        image.write(b"\0")
    spool.leave(again, released=True)
    assert not long.is_excused()
    image.discard()
    # Nobody told what it was.
    spool.leave(long, released=False)
    assert spool.interrupted(KEY)


@pytest.mark.parametrize("looks", ["a worker", "a listener"])
@pytest.mark.parametrize("ends", ["during", "after"])
def test_what_a_killed_listener_was_receiving_is_missed(ends: str, looks: str, spool: Spool, tmp_path: Path) -> None:
    with killed_in_the_middle(tmp_path, make_object("1.2", "1.2.1", **LONG)):
        pause()
        again = spool.attend()
        put(spool, again, "1.2.0")
        if ends == "after":
            spool.leave(again, released=True)
    if looks == "a listener":
        spool.clean()
    spool.arrivals()
    if ends == "during":
        spool.leave(again, released=True)
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, True)]


@pytest.mark.parametrize("ends", ["during", "after"])
def test_it_is_not_where_it_came_wholly_by_another_way(ends: str, spool: Spool, tmp_path: Path) -> None:
    with killed_in_the_middle(tmp_path, make_object("1.2", "1.2.1", **LONG)):
        pause()
        again = spool.attend()
        put(spool, again, "1.2.0")
        put(spool, again, "1.2.1")
        if ends == "after":
            spool.leave(again, released=True)
    spool.arrivals()
    if ends == "during":
        spool.leave(again, released=True)
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, False)]


@pytest.mark.parametrize("ends", ["during", "after"])
def test_half_an_image_that_tells_nothing_says_when_its_sender_spoke(ends: str, spool: Spool, tmp_path: Path) -> None:
    dead = spool.attend()
    put(spool, dead, FIRST)
    pause()
    again = spool.attend()
    put(spool, again, FIRST)
    pause()
    if ends == "after":
        spool.leave(again, released=True)
    spool.scratch(dead).write_bytes(b"half a zip")
    dead.close(released=False)
    spool.arrivals()
    if ends == "during":
        spool.leave(again, released=True)
    assert spool.interrupted(KEY)


def test_an_image_of_another_study_spoils_that_one_alone(spool: Spool) -> None:
    sender = spool.attend()
    put(spool, sender, FIRST)
    image = begin(spool, sender, "9.1")
    image.write(encode(make_object("9", "9.1"))[:-10])
    pause()
    with spool.attend() as again:
        put(spool, again, FIRST)
    spool.cut_off(sender, image)
    image.discard()
    spool.leave(sender, released=False)
    assert (spool.interrupted(KEY), spool.interrupted(uid_hash("9"))) == (False, True)


def test_an_excuse_that_a_full_disk_cut_short_is_none(spool: Spool, tmp_path: Path) -> None:
    silent = spool.attend()
    put(spool, silent, FIRST)
    pause()
    with spool.attend() as again:
        put(spool, again, FIRST)
    (excuse,) = (tmp_path / "spool" / "interrupted").iterdir()
    excuse.write_text("")
    spool.leave(silent, released=False)
    assert spool.interrupted(KEY)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(length=st.integers(0, 3000), changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_whatever_lies_half_received_ends_no_look(length: int, changes: list[tuple[int, int]], tmp_path: Path) -> None:
    whole = file_header(CTImageStorage, SECOND, ExplicitVRLittleEndian, "CT1") + encode(make_object("1.2", SECOND))
    half = bytearray(whole[:length])
    for place, value in changes:
        half[place : place + 1] = bytes([value])[: len(half) - place]
    (tmp_path / "half").write_bytes(half)
    found = identity_of(tmp_path / "half")
    assert found is None or found.study_instance_uid
