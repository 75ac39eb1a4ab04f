"""One instance on its way in: written, hashed and made durable before anybody is told that it is there."""

import contextlib
import mmap
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app.receive.dataset import Buffer, Identity, UnintelligibleError, identify, is_uid

DIGEST_LENGTH = 16
_BUFFER = 1 << 17


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
    """

    def __init__(
        self,
        path: Path,
        header: bytes,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        place: Callable[[Path, Identity, str, int], Stored],
    ) -> None:
        self._path = path
        self._header = len(header)
        self._sop_instance_uid = sop_instance_uid
        self._transfer_syntax_uid = transfer_syntax_uid
        self._place = place
        # Half the time of BLAKE2b where the processor has SHA instructions, and the sender waits for it.
        self._digest = sha256()
        self.size = 0
        self._file = path.open("xb+", buffering=_BUFFER)
        try:
            self._file.write(header)
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
