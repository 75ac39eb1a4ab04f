"""One instance on its way in: written, hashed and made durable before anybody is told that it is there."""

import contextlib
import mmap
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info

from app.receive.dataset import Buffer, Identity, UnintelligibleError, identify, is_uid

DIGEST_LENGTH = 16
_BUFFER = 1 << 17
_GROUP_LENGTH_END = 144  # preamble, "DICM" and FileMetaInformationGroupLength (PS3.10 §7.1)
_HEADERS = 4 << 20
# What pydicom raises of damaged meta information.
_DAMAGED = (ValueError, EOFError, NotImplementedError, BytesLengthException, struct.error)
_HEARD_EVERY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable instance.

    Attributes:
        path: Its file in the spool.
        key: Hash of its StudyInstanceUID.
        size: Bytes of the data set as received.
        new: False where the same object with the same bytes was there before.
    """

    path: Path
    key: str
    size: int
    new: bool


class Incoming:
    """A temporary file on the spool's file system, open until `commit` or `discard`.

    Args:
        path: Where to write; must not exist.
        header: Preamble and file meta information.
        sop_instance_uid: What the C-STORE command calls the object.
        transfer_syntax_uid: How the data set is encoded.
        place: Moves the finished, fsynced file to where it belongs and makes that durable.
        hear: Called at the begin and every second or so while bytes come.

    Attributes:
        size: Bytes of the data set so far.
        heard: When the last of them came, Unix time in ns.
    """

    def __init__(
        self,
        path: Path,
        header: bytes,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        place: Callable[[Path, Identity, str, int], Stored],
        *,
        hear: Callable[[], None],
    ) -> None:
        self._path = path
        self._header = len(header)
        self._sop_instance_uid = sop_instance_uid
        self._transfer_syntax_uid = transfer_syntax_uid
        self._place = place
        self._hear = hear
        # Half the time of BLAKE2b where the processor has SHA instructions, and the sender waits for it.
        self._digest = sha256()
        self.size = 0
        self._file = path.open("xb+", buffering=_BUFFER)
        self.heard = self._told = time.time_ns()
        try:
            self._file.write(header)
            hear()
        except OSError:
            self.discard()
            raise

    def write(self, chunk: Buffer) -> None:
        """Append bytes of the data set, exactly as received.

        Raises:
            OSError: The disk is full or broken.
        """
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)
        self.heard = time.time_ns()
        # Also where the clock was set back.
        if not 0 <= self.heard - self._told < _HEARD_EVERY_NS:
            self._told = self.heard
            self._hear()

    def commit(self) -> Stored:
        """Make the instance durable under its final name; afterwards, and only then, it may be acknowledged.

        Raises:
            UnintelligibleError: It has no valid StudyInstanceUID, or is not the object that the command named.
            OSError: It could not be made durable.
        """
        try:
            self._file.flush()
            identity = self._identify()
            received_ns = time.time_ns()
            os.utime(self._file.fileno(), ns=(received_ns, received_ns))
            os.fsync(self._file.fileno())
            self._file.close()
            return self._place(self._path, identity, self._digest.hexdigest()[:DIGEST_LENGTH], self.size)
        finally:
            self.discard()

    def identity(self) -> Identity | None:
        """UIDs of what has come so far; None where it does not tell them.

        Raises:
            OSError: The disk is full or broken.
        """
        self._file.flush()
        try:
            return self._identify()
        except UnintelligibleError:
            return None

    def discard(self) -> None:
        """Leave nothing behind. Does no harm after `commit`."""
        # A full disk also fails the flush inside close(); the file goes either way.
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _identify(self) -> Identity:
        if self.size == 0:
            raise UnintelligibleError("empty data set")
        # Not closed by hand: an error's traceback may still hold a view of it, the last of them unmaps it.
        mapped = mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ)
        identity = identify(memoryview(mapped)[self._header :], self._transfer_syntax_uid)
        if not is_uid(identity.study_instance_uid):
            raise UnintelligibleError("StudyInstanceUID (0020,000D) is missing or invalid")
        if not is_uid(identity.sop_instance_uid):
            raise UnintelligibleError("SOPInstanceUID (0008,0018) is missing or invalid")
        if identity.sop_instance_uid != self._sop_instance_uid:
            raise UnintelligibleError("SOPInstanceUID differs between command and data set")
        return identity


def identity_of(half: Path) -> Identity | None:
    """UIDs of what a dead process left half received; None where it does not tell them."""
    try:
        with half.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            length = _GROUP_LENGTH_END + int.from_bytes(mapped[_GROUP_LENGTH_END - 4 : _GROUP_LENGTH_END], "little")
            syntax = read_file_meta_info(half).get("TransferSyntaxUID", "")
            found = identify(mapped[length : length + _HEADERS], str(syntax))
    except (UnintelligibleError, InvalidDicomError, OSError, *_DAMAGED):
        return None
    return found if is_uid(found.study_instance_uid) else None
