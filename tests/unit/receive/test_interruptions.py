"""A sender that breaks off leaves durable evidence; one that comes back and finishes takes it away."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from app.receive.presence import Presence
from app.receive.spool import Spool
from app.study import uid_hash
from tests.unit.receive.objects import encode, make_object
from tests.unit.receive.test_storage import Peer, command

ROOT = Path(__file__).resolve().parents[3]
KEY = uid_hash("1.2")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 0)


def put(spool: Spool, presence: Presence, sop: str = "1.2.3", made: Dataset | None = None) -> None:
    incoming = spool.open(
        presence,
        sop_class_uid=CTImageStorage,
        sop_instance_uid=sop,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae="CT1",
    )
    incoming.write(encode(made or make_object("1.2", sop)))
    incoming.commit()


def send(spool: Spool, *, released: bool) -> None:
    presence = spool.attend()
    put(spool, presence)
    spool.leave(presence, released=released)


def test_an_association_that_is_released_leaves_no_mark(spool: Spool, tmp_path: Path) -> None:
    send(spool, released=True)
    assert not spool.interrupted(KEY)
    assert [arrival.interrupted for arrival in spool.arrivals()] == [False]
    assert list((tmp_path / "spool" / "associations").iterdir()) == []


def test_one_that_is_not_marks_its_studies_also_after_a_restart(spool: Spool, tmp_path: Path) -> None:
    send(spool, released=False)
    assert list((tmp_path / "spool" / "associations").iterdir()) == []
    again = Spool(tmp_path / "spool", 0)
    again.clean()
    (arrival,) = again.arrivals()
    assert (arrival.interrupted, arrival.open_associations) == (True, 0)


def test_a_sender_that_comes_back_and_finishes_takes_the_mark_away(spool: Spool) -> None:
    send(spool, released=False)
    send(spool, released=True)
    assert not spool.interrupted(KEY)


def test_one_image_sent_again_finishes_nothing(spool: Spool) -> None:
    """Not even where its bytes differ a little."""
    presence = spool.attend()
    put(spool, presence, "1.2.3")
    put(spool, presence, "1.2.4")
    spool.leave(presence, released=False)
    with spool.attend() as again:
        put(spool, again, "1.2.3")
    assert spool.interrupted(KEY)
    with spool.attend() as again:
        put(spool, again, "1.2.3")
        put(spool, again, "1.2.4")
    assert not spool.interrupted(KEY)


def test_a_sender_that_brings_the_rest_takes_the_mark_away(spool: Spool) -> None:
    send(spool, released=False)
    with spool.attend() as rest:
        put(spool, rest, "1.2.9")
    assert not spool.interrupted(KEY)


def test_a_sender_that_comes_back_and_breaks_off_again_keeps_it(spool: Spool) -> None:
    send(spool, released=False)
    send(spool, released=False)
    assert spool.interrupted(KEY)


def test_another_study_of_the_same_sender_does_not_take_it_away(spool: Spool) -> None:
    send(spool, released=False)
    with spool.attend() as presence:
        put(spool, presence, "9.1", make_object("9", "9.1"))
    assert (spool.interrupted(KEY), spool.interrupted(uid_hash("9"))) == (True, False)


def test_an_association_beside_the_broken_one_does_not_take_the_mark_away(spool: Spool) -> None:
    beside, broken = spool.attend(), spool.attend()
    put(spool, beside, "1.2.3")
    put(spool, broken, "1.2.4")
    spool.leave(broken, released=False)
    put(spool, beside, "1.2.5")
    spool.leave(beside, released=True)
    assert spool.interrupted(KEY)


def test_nor_does_it_take_a_mark_that_was_renewed_since(spool: Spool) -> None:
    send(spool, released=False)
    beside, broken = spool.attend(), spool.attend()
    put(spool, beside)
    put(spool, broken)
    spool.leave(broken, released=False)
    spool.leave(beside, released=True)
    assert spool.interrupted(KEY)


def test_an_association_that_stored_nothing_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    spool.leave(spool.attend(), released=False)
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []


def test_an_image_that_is_cut_off_marks_its_study_though_it_is_the_first(tmp_path: Path) -> None:
    """A sender that opens an association for every image names the study in none that broke off."""
    peer = Peer(tmp_path)
    peer.say(3, command())
    peer.say(0, encode(make_object("1.2", "1.2.4"))[:-10])
    peer.service.close(released=False)
    assert Spool(tmp_path, 0).interrupted(KEY)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_mark_that_cannot_be_written_holds_the_study_until_it_can(spool: Spool, tmp_path: Path) -> None:
    marks = tmp_path / "spool" / "interrupted"
    marks.rmdir()
    send(spool, released=False)
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(1, False)]
    marks.mkdir()
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, True)]


def test_who_looks_while_associations_are_released_never_takes_them_for_dead(spool: Spool) -> None:
    stop, marked = threading.Event(), list[bool]()

    def look() -> None:
        while not stop.is_set():
            spool.arrivals()
            marked.append(spool.interrupted(KEY))

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(60):
        send(spool, released=True)
    stop.set()
    for reader in readers:
        reader.join()
    assert (len(marked) > 10, any(marked)) == (True, False)


_SEND_AND_WAIT = """
import sys, time
from pathlib import Path
from app.receive.spool import Spool
spool = Spool(Path(sys.argv[1]), 0)
presence = spool.attend()
for place, file in enumerate(sys.argv[2:]):
    incoming = spool.open(
        presence, sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"1.2.{place}",
        transfer_syntax_uid="1.2.840.10008.1.2.1", calling_ae="CT1",
    )
    incoming.write(Path(file).read_bytes())
    if place == 0:
        incoming.commit()
print("ready", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def killed_in_the_middle(folder: Path, half: Dataset) -> Iterator[None]:
    """A process that has stored 1.2.0 of study 1.2 and is receiving `half`; it dies by kill -9 at the end."""
    for name, made in (("whole", make_object("1.2", "1.2.0")), ("half", half)):
        (folder / name).write_bytes(encode(made))
    process = subprocess.Popen(
        [sys.executable, "-c", _SEND_AND_WAIT, str(folder / "spool"), str(folder / "whole"), str(folder / "half")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def kill_in_the_middle(folder: Path, half: Dataset) -> None:
    """Begin and kill it."""
    with killed_in_the_middle(folder, half):
        pass


def test_a_killed_listener_leaves_the_mark_to_whoever_looks_next(spool: Spool, tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path, make_object("1.2", "1.2.1"))
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, True)]
    send(spool, released=True)
    assert [each.interrupted for each in spool.arrivals()] == [False]


def test_a_sender_that_comes_back_before_anybody_looked_takes_it_away_too(spool: Spool, tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path, make_object("1.2", "1.2.1"))
    send(spool, released=True)
    assert [each.interrupted for each in spool.arrivals()] == [False]


def test_what_a_killed_listener_had_half_received_marks_its_study(spool: Spool, tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path, make_object("9", "1.2.1", PixelData=b"\0" * 400_000, BitsAllocated=8))
    assert spool.clean() == 1
    assert (spool.interrupted(KEY), spool.interrupted(uid_hash("9"))) == (True, True)


def pause() -> None:
    """The clock of a file system ticks every few milliseconds; who is heard of in the same tick is not older."""
    time.sleep(0.05)


IMAGES = ("1.2.3", "1.2.4")


@pytest.mark.parametrize("ends", ["before", "during", "after"])
def test_a_silent_sender_spoils_nothing_that_came_wholly_by_another_way(ends: str, spool: Spool) -> None:
    silent = spool.attend()
    put(spool, silent, IMAGES[0])
    pause()
    again = spool.attend()
    for place, sop in enumerate(IMAGES):
        if ends == "during" and place == 1:
            spool.leave(silent, released=False)
        put(spool, again, sop)
    if ends == "before":
        spool.leave(silent, released=False)
    spool.leave(again, released=True)
    if ends == "after":
        assert spool.arrivals()[0].open_associations == 1, "it may go on"
        assert silent.is_excused()
        spool.leave(silent, released=False)
    assert [(each.open_associations, each.interrupted) for each in spool.arrivals()] == [(0, False)]
    assert not list((spool._interruptions._folder).iterdir())


@pytest.mark.parametrize("way", ["more came by it", "not all came again", "the other broke off", "it goes on", "later"])
@pytest.mark.parametrize("ends", ["before", "after"])
def test_but_one_that_may_have_had_more_does(way: str, ends: str, spool: Spool) -> None:
    silent, early = spool.attend(), spool.attend()
    if way == "later":
        put(spool, early, IMAGES[0])
        pause()
    put(spool, silent, IMAGES[0])
    if way == "not all came again":
        put(spool, silent, "1.2.9")
    pause()
    again = early if way == "later" else spool.attend()
    put(spool, again, IMAGES[0])
    if way == "more came by it":
        put(spool, silent, "1.2.9")
    put(spool, again, IMAGES[1])
    if ends == "before":
        if way == "it goes on":
            put(spool, silent, IMAGES[0])
        spool.leave(silent, released=False)
    spool.leave(again, released=way != "the other broke off")
    if ends == "after":
        pause()
        if way == "it goes on":
            put(spool, silent, IMAGES[0])
        assert not silent.is_excused()
        spool.leave(silent, released=False)
    spool.leave(early, released=True)
    assert spool.interrupted(KEY)


def test_a_study_that_did_not_come_again_is_spoiled_as_before(spool: Spool) -> None:
    silent = spool.attend()
    put(spool, silent)
    put(spool, silent, "9.1", make_object("9", "9.1"))
    pause()
    send(spool, released=True)
    assert not silent.is_excused()
    spool.leave(silent, released=False)
    assert (spool.interrupted(KEY), spool.interrupted(uid_hash("9"))) == (False, True)


def test_a_mark_of_an_earlier_version_is_as_old_as_its_file(spool: Spool, tmp_path: Path) -> None:
    with spool.attend() as presence:
        put(spool, presence)
        (tmp_path / "spool" / "interrupted" / KEY).write_text("0" * 32)
        os.utime(tmp_path / "spool" / "interrupted" / KEY, (0, 0))
    assert not spool.interrupted(KEY)
    pause()
    with spool.attend() as presence:
        put(spool, presence)
        pause()
        (tmp_path / "spool" / "interrupted" / KEY).write_text("0" * 32)
    assert spool.interrupted(KEY)


def test_of_two_that_broke_off_the_one_that_was_heard_last_counts(spool: Spool) -> None:
    first, last = spool.attend(), spool.attend()
    put(spool, first)
    pause()
    again = spool.attend()
    put(spool, again)
    pause()
    put(spool, last)
    spool.leave(last, released=False)
    spool.leave(first, released=False)
    spool.leave(again, released=True)
    assert spool.interrupted(KEY)
