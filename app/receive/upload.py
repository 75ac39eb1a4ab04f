"""An upload by HTTP: an association by another way. Its files go where those of C-STORE go, by the same checks.

While it is open its studies are not complete. Who ends it has finished (A-RELEASE); who breaks off leaves the mark that
an aborted association leaves.
"""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Final

import structlog

from app.receive import metrics
from app.receive.dataset import Buffer, UnintelligibleError, is_uid
from app.receive.incoming import Incoming
from app.receive.objections import BROKEN_DISK, CANNOT_UNDERSTAND, Refusal, objection
from app.receive.part10 import EMPTY_ZIP, ZIP, FileHead, NotDicomError, read_head
from app.receive.presence import Presence
from app.receive.spool import Spool
from app.receive.storage import Brought

AE_TITLE: Final = "VIGIL_UPLOAD"
"""Stands in the spooled files for the calling AE title."""
NOT_DICOM: Final = "not_dicom"

_log = structlog.get_logger()


class Verdict(StrEnum):
    """What became of a file."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file.

    Attributes:
        name: As the sender called it; may name a patient, and is told to nobody but the sender.
        verdict: `duplicate`: the same image was there, byte for byte.
        reason: Of a refusal, in one word; "" otherwise.
        detail: The same in words.
        study: First digits of the study's key; "" of what was refused.
    """

    name: str
    verdict: Verdict
    reason: str = ""
    detail: str = ""
    study: str = ""


@dataclass
class Upload:
    """One upload, open from its begin to `close`. Several threads may receive files into it at once.

    Attributes:
        spool: Where to.
        most_bytes: A file may hold.
    """

    spool: Spool
    most_bytes: int
    images: int = field(default=0, init=False)
    brought: dict[str, Brought] = field(default_factory=dict, init=False)
    presence: Presence = field(init=False)
    _lock: Lock = field(default_factory=Lock, init=False)
    _broken: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.presence = self.spool.attend()

    @property
    def is_repeated(self) -> bool:
        """Whether all of it came again by another way, wholly, and nothing more came by this one meanwhile."""
        return self.presence.is_excused()

    def receive(self, name: str) -> "Arriving":
        """Begin to receive a file."""
        return Arriving(self, name)

    def close(self, *, finished: bool) -> bool:
        """End the upload.

        Args:
            finished: Whether the sender says that this was all.

        Returns:
            Whether it counts as finished: not where a file was broken off and never came whole.

        Raises:
            OSError: The disk is broken.
        """
        whole = finished and not self._broken
        self.spool.leave(self.presence, released=whole)
        for key, brought in self.brought.items():
            images = sum(brought.sop_classes.values())
            _log.info("images_received", study=key[:12], images=images, released=whole)
        return whole

    def open(self, head: FileHead) -> Incoming:
        """Begin to write an instance."""
        return self.spool.open(
            self.presence,
            sop_class_uid=head.sop_class_uid,
            sop_instance_uid=head.sop_instance_uid,
            transfer_syntax_uid=head.transfer_syntax_uid,
            calling_ae=AE_TITLE,
        )

    def place(self, name: str, incoming: Incoming, head: FileHead) -> FileResult:
        """Make an instance durable.

        Raises:
            UnintelligibleError: It is not what its head says.
            OSError: The disk is full or broken.
        """
        begun = time.perf_counter()
        with self._lock:
            stored = incoming.commit()
            self.brought.setdefault(stored.key, Brought(stored.path)).sop_classes[head.sop_class_uid] += 1
            self.images += 1
            self._broken.discard(name)
        metrics.STORE_SECONDS.observe(time.perf_counter() - begun)
        metrics.IMAGES.inc()
        metrics.BYTES.inc(stored.size)
        if not stored.new:
            metrics.REPEATED.inc()
        verdict = Verdict.STORED if stored.new else Verdict.DUPLICATE
        words = "" if stored.new else "the same image is here already, byte for byte"
        return FileResult(name, verdict, "", words, stored.key[:12])

    def broke_off(self, name: str, incoming: Incoming | None) -> None:
        """Note that a file did not come to its end; its study is not whole until it comes again."""
        with self._lock:
            self._broken.add(name)
            if incoming is not None:
                self.spool.cut_off(self.presence, incoming)


class Arriving:
    """One file on its way in. After `finish` or `break_off` nothing half received is left.

    Args:
        upload: Of which it is a part.
        name: As the sender calls it.
    """

    def __init__(self, upload: Upload, name: str) -> None:
        self._upload, self._name = upload, name
        self._begin = bytearray()
        self._head: FileHead | None = None
        self._incoming: Incoming | None = None
        self._refusal: Refusal | None = None
        self._size = 0

    @property
    def refused(self) -> bool:
        """Whether what is still to come would be thrown away."""
        return self._refusal is not None

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes; those of a refused file are thrown away."""
        self._size += len(chunk)
        if self._refusal is None and self._size > self._upload.most_bytes:
            words = f"longer than {self._upload.most_bytes >> 20} MB (uploads.max_file_mb)"
            self._refuse(Refusal(CANNOT_UNDERSTAND, "too_large", words))
        if self._refusal is not None:
            return
        try:
            if self._incoming is None:
                self._begin += chunk
                self._look(whole=False)
            else:
                self._incoming.write(chunk)
        except OSError as error:
            self._broken_disk(error)

    def finish(self) -> FileResult:
        """The file has come to its end: store it, or say why not."""
        try:
            if self._refusal is None and self._incoming is None:
                self._look(whole=True)
            if self._incoming is not None and self._head is not None:
                return self._upload.place(self._name, self._incoming, self._head)
        except UnintelligibleError as error:
            self._refuse(Refusal(CANNOT_UNDERSTAND, "data_set", str(error)))
        except OSError as error:
            self._broken_disk(error)
        finally:
            self._discard()
        return self._told(self._refusal or BROKEN_DISK)

    def break_off(self) -> None:
        """The sender went away in the middle of it."""
        try:
            self._upload.broke_off(self._name, self._incoming)
        except OSError as error:
            _tell("half_image_not_named", error)
        finally:
            self._discard()

    def _look(self, *, whole: bool) -> None:
        """Read the head, as soon as it is there, and begin to write."""
        try:
            head = read_head(self._begin, whole=whole)
        except NotDicomError as error:
            self._refuse(self._no_dicom(str(error)))
            return
        except UnintelligibleError as error:
            self._refuse(Refusal(CANNOT_UNDERSTAND, "data_set", str(error)))
            return
        if head is None:
            return
        found = objection(self._upload.spool, head.sop_class_uid, head.sop_class_uid, head.sop_instance_uid)
        if found is None and not is_uid(head.transfer_syntax_uid):
            found = Refusal(CANNOT_UNDERSTAND, "data_set", "TransferSyntaxUID (0002,0010) is missing or invalid")
        if found is not None:
            self._refuse(found)
            return
        self._head, self._incoming = head, self._upload.open(head)
        self._incoming.write(memoryview(self._begin)[head.length :])
        self._begin = bytearray()

    def _no_dicom(self, words: str) -> Refusal:
        if bytes(self._begin[: len(ZIP)]) in {ZIP, EMPTY_ZIP}:
            return Refusal(CANNOT_UNDERSTAND, "nested", "a zip within a zip: unpack it, and upload what is in it")
        return Refusal(CANNOT_UNDERSTAND, NOT_DICOM, words)

    def _refuse(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._discard()

    def _broken_disk(self, error: OSError) -> None:
        _tell("store_failed", error)
        self._refuse(BROKEN_DISK)

    def _discard(self) -> None:
        self._begin = bytearray()
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def _told(self, refusal: Refusal) -> FileResult:
        if refusal.reason in metrics.REFUSALS:
            metrics.REFUSED.labels(refusal.reason).inc()
        return FileResult(self._name, Verdict.REFUSED, refusal.reason, refusal.comment)


def _tell(event: str, error: OSError) -> None:
    _log.error(event, errno=error.errno, problem=error.strerror)
