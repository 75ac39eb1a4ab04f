"""The spool: durable, whole, and never fooled by what a sender calls its objects."""

import os
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from app.receive.dataset import UnintelligibleError
from app.receive.incoming import Stored
from app.receive.spool import Spool
from app.study import revision_of, uid_hash
from tests.unit.receive.objects import encode, make_object

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 0)


def put(spool: Spool, study: str = "1.2", sop: str = "1.2.3", **elements: object) -> Stored:
    return put_bytes(spool, encode(make_object(study, sop, **elements)), sop)


def put_bytes(spool: Spool, data: bytes, sop: str) -> Stored:
    return spool.store(
        data,
        sop_class_uid=CTImageStorage,
        sop_instance_uid=sop,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae="CT1",
    )


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_instance_is_kept_byte_for_byte_under_a_hashed_name(spool: Spool, tmp_path: Path) -> None:
    data = encode(make_object("1.2", "1.2.3"))
    stored = put_bytes(spool, data, "1.2.3")
    digest = sha256(data).hexdigest()[:16]
    expected = tmp_path / "spool" / "studies" / uid_hash("1.2") / f"{uid_hash('1.2.3')}.{digest}.dcm"
    assert stored == Stored(expected, uid_hash("1.2"), len(data), new=True)
    assert expected.read_bytes()[-len(data) :] == data
    assert dcmread(expected).file_meta.SourceApplicationEntityTitle == "CT1"


def test_the_same_bytes_again_make_no_new_file(spool: Spool) -> None:
    data = encode(make_object("1.2", "1.2.3"))
    first, second = put_bytes(spool, data, "1.2.3"), put_bytes(spool, data, "1.2.3")
    assert (first.new, second.new, first.path) == (True, False, second.path)
    assert spool.files(uid_hash("1.2")) == (first.path,)


def test_of_two_versions_the_one_sent_last_counts(spool: Spool) -> None:
    key = uid_hash("1.2")
    old = encode(make_object("1.2", "1.2.3", StudyDescription="old"))
    new = encode(make_object("1.2", "1.2.3", StudyDescription="new"))
    before = put_bytes(spool, old, "1.2.3")
    after = put_bytes(spool, new, "1.2.3")
    assert spool.files(key) == (after.path,)
    assert before.path.exists()
    put_bytes(spool, old, "1.2.3")
    assert spool.files(key) == (before.path,)


def test_revision_does_not_depend_on_the_order(tmp_path: Path) -> None:
    objects = [encode(make_object("1.2", f"1.2.{n}")) for n in range(5)]
    revisions = set()
    for name, order in (("a", range(5)), ("b", reversed(range(5)))):
        spool = Spool(tmp_path / name, 0)
        for n in order:
            put_bytes(spool, objects[n], f"1.2.{n}")
        revisions.add(revision_of(spool.files(uid_hash("1.2"))))
    assert len(revisions) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    hostile=st.one_of(st.text(max_size=80), st.sampled_from(["../../x", "/etc/passwd", "", "1.2/3", "1.2\x003", "."]))
)
def test_no_uid_leads_outside_the_spool(tmp_path: Path, hostile: str) -> None:
    spool = Spool(tmp_path / "s" / "spool", 0)
    value = hostile.encode("utf-8", "surrogatepass")
    value += b"\0" * (len(value) % 2)
    data = b"".join(
        tag + b"UI" + len(value).to_bytes(2, "little") + value for tag in (b"\x08\0\x18\0", b"\x20\0\x0d\0")
    )
    try:
        stored = put_bytes(spool, data, value.decode("ascii", "replace").strip("\0 "))
    except UnintelligibleError:
        assert everything(tmp_path) == {
            name for name in everything(tmp_path) if "/studies/" in name or "active" in name
        }
    else:
        assert stored.path.parent.parent == tmp_path / "s" / "spool" / "studies"
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty data set"),
        (b"junk that is no data set", "not in its transfer syntax"),
        (encode(make_object("1.2", "9.9")), "differs"),
        (encode(make_object("1.2", "1.2.3"))[:30], "ends within"),
        (encode(make_object("x", "1.2.3")), "StudyInstanceUID"),
    ],
    ids=["empty", "junk", "another instance", "cut off", "no study"],
)
def test_what_cannot_be_filed_leaves_nothing_behind(spool: Spool, tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(UnintelligibleError, match=reason):
        put_bytes(spool, data, "1.2.3")
    assert everything(tmp_path) == set()


def test_a_disk_below_its_mark_has_no_room(tmp_path: Path) -> None:
    assert Spool(tmp_path, 0).has_room()
    assert not Spool(tmp_path, 10**9).has_room()


def test_an_arrival_tells_when_and_how_many_send(spool: Spool) -> None:
    before = time.time()
    with spool.attend() as presence:
        presence.announce(uid_hash("1.2"))
        put(spool)
        put(spool, sop="1.2.4")
        (arrival,) = spool.arrivals()
        assert (arrival.key, arrival.open_associations) == (uid_hash("1.2"), 1)
        assert before <= arrival.first_received < arrival.last_received <= time.time()
    assert spool.arrivals()[0].open_associations == 0


def test_settling_drops_the_marker_until_something_new_comes(spool: Spool) -> None:
    put(spool)
    assert spool.settle(spool.arrivals()[0])
    assert spool.arrivals() == ()
    assert spool.study_keys() == (uid_hash("1.2"),)
    put(spool, sop="1.2.4")
    assert len(spool.arrivals()) == 1


def test_settling_keeps_what_came_since(spool: Spool) -> None:
    put(spool)
    (arrival,) = spool.arrivals()
    put(spool, sop="1.2.4")
    assert not spool.settle(arrival)
    assert len(spool.arrivals()) == 1


def test_no_arrival_is_lost_in_the_race_with_settling(tmp_path: Path) -> None:
    spool, seen = Spool(tmp_path, 0), set[str]()
    objects = [encode(make_object("1.2", f"1.2.{n}")) for n in range(150)]

    def listen() -> None:
        for n, data in enumerate(objects):
            put_bytes(spool, data, f"1.2.{n}")

    listener = threading.Thread(target=listen)
    listener.start()
    while listener.is_alive() or spool.arrivals():
        for arrival in spool.arrivals():
            files = spool.files(arrival.key)
            if spool.settle(arrival):
                seen = {file.name for file in files}
    listener.join()
    assert seen == {file.name for file in spool.files(uid_hash("1.2"))}
    assert len(seen) == 150


def test_files_of_an_unknown_study_are_none(spool: Spool) -> None:
    assert spool.files(uid_hash("9")) == ()


_RECEIVE_AND_WAIT = """
import sys, time
from pathlib import Path
from app.receive.spool import Spool
from app.study import uid_hash
spool = Spool(Path(sys.argv[1]), 0)
presence = spool.attend()
presence.announce(uid_hash("1.2"))
incoming = spool.open(
    presence, sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.840.10008.1.2.1", calling_ae="CT1"
)
incoming.write(b"x" * 1000000)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_is_no_living_association_and_leaves_no_half_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 0)
    put(spool)
    process = subprocess.Popen(
        [sys.executable, "-c", _RECEIVE_AND_WAIT, str(tmp_path / "spool")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            assert process.stdout.readline() == "ready\n"
            assert spool.arrivals()[0].open_associations == 1
            assert spool.clean() == 0, "what a living process receives is left alone"
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert len(list((tmp_path / "spool" / "incoming").iterdir())) == 1
    assert spool.clean() == 1
    assert spool.arrivals()[0].open_associations == 0
    assert list((tmp_path / "spool" / "incoming").iterdir()) == []
    assert list((tmp_path / "spool" / "associations").iterdir()) == []
    assert len(spool.files(uid_hash("1.2"))) == 1


def test_a_sender_that_dies_before_its_name_is_known_is_swept_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    (tmp_path / "associations" / ".new-dead").touch()
    spool.clean()
    assert list((tmp_path / "associations").iterdir()) == []


def test_instances_placed_at_once_from_many_threads_are_all_there(spool: Spool) -> None:
    objects = [encode(make_object("1.2", f"1.2.{n % 20}")) for n in range(20)]
    threads = [
        threading.Thread(target=lambda: [put_bytes(spool, data, f"1.2.{n}") for n, data in enumerate(objects)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spool.files(uid_hash("1.2"))) == 20
