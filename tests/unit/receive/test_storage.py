"""The storage service of one association, fragment by fragment."""

import errno
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dsutils import encode as encode_command

from app.receive.command import ProtocolError
from app.receive.incoming import Incoming
from app.receive.objections import VERIFICATION
from app.receive.spool import Spool
from app.receive.storage import Context, StorageService
from tests.unit.receive.objects import encode, make_object

CONTEXTS = {1: Context(CTImageStorage, ExplicitVRLittleEndian), 3: Context(VERIFICATION, ExplicitVRLittleEndian)}


class Peer:
    """Drives a service and keeps what it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.responses: list[bytes] = []
        self.forwarded: list[tuple[int, bytes, bytes]] = []
        self.service = StorageService(
            Spool(folder, 0),
            "CT1",
            CONTEXTS,
            lambda _, command: self.responses.append(command),
            lambda *message: self.forwarded.append(message),
        )

    def say(self, control: int, payload: bytes, context_id: int = 1) -> None:
        for start in range(0, len(payload), 100):
            self.service.fragment(control, payload[start : start + 100])
        self.service.end_of_fragment(context_id, control)

    @property
    def statuses(self) -> list[int]:
        tag = b"\0\0\0\x09\2\0\0\0"
        return [int.from_bytes(one.partition(tag)[2][:2], "little") for one in self.responses]

    @property
    def files(self) -> list[str]:
        return [path.name for path in self.folder.rglob("*") if path.is_file() and path.parent.name != "associations"]


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    return Peer(tmp_path)


def command(field: int = 1, data_set: int = 0, sop: str = "1.2.4", sop_class: str = CTImageStorage) -> bytes:
    made = Dataset()
    made.CommandGroupLength = 0
    made.AffectedSOPClassUID = sop_class
    made.CommandField, made.MessageID, made.CommandDataSetType = field, 9, data_set
    made.AffectedSOPInstanceUID = sop
    encoded = encode_command(made, True, True)
    assert encoded is not None
    return encoded


def test_an_object_in_many_fragments_is_stored(peer: Peer) -> None:
    data = encode(make_object("1.2.3", "1.2.4"))
    whole = command()
    peer.say(1, whole[:50])
    peer.say(3, whole[50:])
    peer.say(0, data[:77])
    peer.say(2, data[77:])
    assert peer.statuses == [0]
    assert peer.service.tally.images == 1


def test_other_messages_are_handed_on(peer: Peer) -> None:
    peer.say(3, command(field=0x30, data_set=0x0101), 3)
    assert peer.forwarded == [(3, command(field=0x30, data_set=0x0101), b"")]


@pytest.mark.parametrize(
    ("request_set", "context_id", "status"),
    [
        (command(), 3, 0x0122),
        (command(sop=""), 1, 0xC000),
        (command(sop="x"), 1, 0xC000),
        (command(sop_class=""), 1, 0xC000),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_bad_request_is_refused_after_its_data_set(
    peer: Peer, request_set: bytes, context_id: int, status: int
) -> None:
    peer.say(3, request_set, context_id)
    assert peer.responses == []
    peer.say(2, encode(make_object("1.2.3", "1.2.4")), context_id)
    assert (peer.statuses, peer.files) == ([status], [])


def test_a_request_without_a_data_set_is_refused_at_once(peer: Peer) -> None:
    peer.say(3, command(data_set=0x0101))
    assert (peer.statuses, peer.files) == ([0xC000], [])


@pytest.mark.parametrize("method", ["write", "commit"])
def test_a_disk_that_fills_up_is_no_success(peer: Peer, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Incoming, method, full)
        peer.say(3, command())
        peer.say(2, encode(make_object("1.2.3", "1.2.4")))
    assert (peer.statuses, peer.files) == ([0xA700], [])
    peer.say(3, command())
    peer.say(2, encode(make_object("1.2.3", "1.2.4")))
    assert peer.statuses == [0xA700, 0]


def test_closing_in_the_middle_leaves_nothing(peer: Peer) -> None:
    peer.say(3, command())
    peer.say(0, b"x" * 1000)
    assert len(peer.files) == 1
    peer.service.close(released=False)
    assert [path for path in peer.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("control", "payload", "context_id"),
    [(2, b"data", 1), (3, b"junk", 1), (3, command(), 99), (1, b"x" * 70000, 1)],
)
def test_what_no_conformant_peer_sends_ends_the_association(
    peer: Peer, control: int, payload: bytes, context_id: int
) -> None:
    with pytest.raises(ProtocolError):
        peer.say(control, payload, context_id)
