"""Uploads that are open: who began them, what came, and when nothing comes any more."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import structlog

from app.receive.dataset import Buffer
from app.receive.objections import BROKEN_DISK, NO_SPACE, Refusal
from app.receive.part10 import EMPTY_ZIP, ZIP
from app.receive.spool import Spool
from app.receive.upload import Arriving, FileResult, Upload, Verdict
from app.receive.zips import Limits, ZipRefused, unpack
from app.settings import Settings
from app.settings import Uploads as Options
from app.web.guard import Visitor

MEGABYTE = 1 << 20
LOOK_FOR_ROOM = 64 * MEGABYTE

log = structlog.get_logger()


class TooManyOpen(Exception):
    """No further upload may be begun now."""


@dataclass
class Session:
    """One upload of somebody.

    Attributes:
        owner: Who began it.
        upload: Where its files go.
        id: Random.
        counts: Files by what became of them.
        busy: Files that are coming now.
    """

    owner: Visitor
    upload: Upload
    id: str = field(default_factory=lambda: secrets.token_hex(16), init=False)
    counts: Counter[Verdict] = field(default_factory=Counter, init=False)
    busy: int = field(default=0, init=False)
    touched: float = field(default_factory=time.monotonic, init=False)
    ended: bool = field(default=False, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A file is coming."""
        with self._lock:
            self.busy += 1
        try:
            yield
        finally:
            with self._lock:
                self.busy -= 1
                self.touched = time.monotonic()

    def note(self, result: FileResult) -> None:
        """Count what became of a file."""
        with self._lock:
            self.counts[result.verdict] += 1
            self.touched = time.monotonic()

    def idle_s(self) -> float:
        """How long nothing has come."""
        return 0.0 if self.busy else time.monotonic() - self.touched


@dataclass
class Sessions:
    """The uploads that are open in this process; they end with it, as broken off.

    Attributes:
        settings: Of the installation.
        closed: Told of each that has ended, and whether it is whole.
    """

    settings: Settings
    closed: Callable[[Session, bool], None]
    _open: dict[str, Session] = field(default_factory=dict, init=False)
    _spool: Spool | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    @property
    def options(self) -> Options:
        """What may be uploaded."""
        return self.settings.uploads

    def begin(self, visitor: Visitor) -> Session:
        """Begin an upload.

        Raises:
            TooManyOpen: There are enough.
            OSError: The spool cannot be written.
        """
        with self._lock:
            if len(self._open) >= self.options.max_open:
                raise TooManyOpen
            if self._spool is None:
                self._spool = Spool(self.settings.spool.folder, self.settings.spool.min_free_mb)
                # What an earlier process of ours was unpacking as it was killed may be large.
                self._spool.discard_abandoned()
            session = Session(visitor, Upload(self._spool, self.options.max_file_mb * MEGABYTE))
            self._open[session.id] = session
            return session

    def find(self, identifier: str, visitor: Visitor) -> Session | None:
        """An upload that this visitor has begun and that is open."""
        found = self._open.get(identifier)
        same = found is not None and (found.owner.name, found.owner.by) == (visitor.name, visitor.by)
        return found if same else None

    def end(self, session: Session, *, finished: bool) -> bool:
        """End an upload, once; whether it counts as whole.

        Raises:
            OSError: The disk is broken.
        """
        with self._lock:
            if self._open.pop(session.id, None) is None:
                return False
            session.ended = True
        whole = False
        try:
            whole = session.upload.close(finished=finished)
        finally:
            log.info(
                "upload_ended",
                how="finished" if whole else "broken off",
                user=session.owner.name,
                peer=session.owner.address,
                **{str(verdict): count for verdict, count in session.counts.items()},
            )
            self.closed(session, whole)
        return whole

    def sweep(self) -> None:
        """End those that nothing comes for; at once where all of one came again in another: its browser was ended."""
        self._end_all(
            lambda session: session.idle_s() > self.options.idle_s or (not session.busy and session.upload.is_repeated)
        )

    def stop(self) -> None:
        """End all: the process ends."""
        self._end_all(lambda _: True)

    def _end_all(self, wanted: Callable[[Session], bool]) -> None:
        for session in list(self._open.values()):
            if wanted(session):
                try:
                    self.end(session, finished=False)
                except OSError as error:
                    _tell("upload_not_ended", error)


@dataclass
class Body:
    """One body of a request on its way to disk: an image, or a zip of them, whichever it begins as.

    Attributes:
        session: To which it belongs.
        name: As its sender calls it.
        options: What may be uploaded.
    """

    session: Session
    name: str
    options: Options
    _begin: bytearray = field(default_factory=bytearray, init=False)
    _arriving: Arriving | None = field(default=None, init=False)
    _zip: BinaryIO | None = field(default=None, init=False)
    _path: Path | None = field(default=None, init=False)
    _size: int = field(default=0, init=False)
    _refusal: Refusal | None = field(default=None, init=False)

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes."""
        if self._arriving is None and self._path is None:
            self._begin += chunk
            if len(self._begin) < len(ZIP):
                return
            chunk, self._begin = self._begin, bytearray()
            self._choose(chunk)
        if self._arriving is not None:
            self._arriving.write(chunk)
        else:
            self._pack(chunk)

    def finish(self) -> list[FileResult]:
        """The body has come to its end: what became of each file in it."""
        if self._path is not None:
            return self._unpack(self._path)
        if self._arriving is None:
            self._arriving = self.session.upload.receive(self.name)
            self._arriving.write(self._begin)
        return [self._told(self._arriving.finish())]

    def break_off(self) -> None:
        """The sender went away in the middle of it."""
        self._leave_zip()
        # A zip that did not come wholly has brought nothing; nobody knows what it would have.
        (self._arriving or self.session.upload.receive(self.name)).break_off()

    def _choose(self, begin: Buffer) -> None:
        if bytes(begin[: len(ZIP)]) in {ZIP, EMPTY_ZIP}:
            self._path = self.session.upload.spool.scratch(self.session.upload.presence)
        else:
            self._arriving = self.session.upload.receive(self.name)

    def _pack(self, chunk: Buffer) -> None:
        """Keep bytes of a zip on disk until it is whole: its directory stands at its end."""
        before, self._size = self._size, self._size + len(chunk)
        if self._refusal is not None or self._path is None:
            return
        if self._size > self.options.max_zip_mb * MEGABYTE:
            words = f"longer than {self.options.max_zip_mb} MB (uploads.max_zip_mb)"
            self._refusal = Refusal(BROKEN_DISK.status, "too_large", words)
        elif before // LOOK_FOR_ROOM != self._size // LOOK_FOR_ROOM or not before:
            self._refusal = None if self.session.upload.spool.has_room() else NO_SPACE
        try:
            if self._refusal is None:
                self._zip = self._zip or self._path.open("xb")
                self._zip.write(chunk)
        except OSError as error:
            _tell("store_failed", error)
            self._refusal = BROKEN_DISK
        if self._refusal is not None:
            self._leave_zip()

    def _unpack(self, path: Path) -> list[FileResult]:
        found: list[FileResult] = []
        options = self.options
        limits = Limits(options.max_files, options.max_unpacked_mb * MEGABYTE, options.max_ratio)
        try:
            if self._refusal is None and self._zip is not None:
                self._zip.close()
                unpack(path, self.name, self.session.upload, limits, lambda each: found.append(self._told(each)))
        except ZipRefused as error:
            found.append(self._told(FileResult(self.name, Verdict.REFUSED, error.reason, str(error))))
        except OSError as error:
            _tell("store_failed", error)
            self._refusal = BROKEN_DISK
        finally:
            self._leave_zip()
        if self._refusal is not None:
            refusal = self._refusal
            found.append(self._told(FileResult(self.name, Verdict.REFUSED, refusal.reason, refusal.comment)))
        if not found:
            found.append(self._told(FileResult(self.name, Verdict.REFUSED, "empty", "an empty zip")))
        return found

    def _leave_zip(self) -> None:
        try:
            if self._zip is not None:
                self._zip.close()
        except OSError as error:
            _tell("store_failed", error)
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _told(self, result: FileResult) -> FileResult:
        self.session.note(result)
        return result


def _tell(event: str, error: OSError) -> None:
    log.error(event, errno=error.errno, problem=error.strerror)
