"""Is the service well: listener, worker, database, disks. Each part says what to do where it is not."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app import __version__
from app.breakers import left_alone
from app.deliver import reachable
from app.destinations import DicomDestination
from app.peers import HEALTH_AE
from app.settings import Settings
from app.tls.settings import ClientCertificates, ListenerTls, Tls
from app.wellness import EVERYWHERE, Health, Part

MEGABYTE = 1 << 20
ECHO_TIMEOUT_S = 3.0
GOOD_FOR_S, BAD_FOR_S = 5.0, 0.5


@dataclass
class Pulse:
    """Watches the heartbeats on this process's own clock: a worker lives while its count goes on.

    Attributes:
        beats: Reads how often each worker has beaten (`app.workflow_database.beats_of`).
        patience_s: Silence after which a worker counts as dead.
    """

    beats: Callable[[], dict[str, int]]
    patience_s: float
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, int] | None = field(default=None, init=False)
    _alive_at: dict[str, float] = field(default_factory=dict, init=False)
    _problem: str = field(default="not asked yet", init=False)
    _felt_at: float | None = field(default=None, init=False)

    def feel(self) -> None:
        """Read the counts once; called again and again."""
        self._felt_at = self.clock() if self._felt_at is None else self._felt_at
        try:
            counts = self.beats()
        except SQLAlchemyError as error:
            self._problem = f"{type(error).__name__}; see database.url in the settings"
            return
        self._problem = ""
        for worker, count in counts.items():
            # What lay there at the first look may be long dead; only a change proves life.
            if self._seen is not None and self._seen.get(worker) != count:
                self._alive_at[worker] = self.clock()
        self._alive_at = {worker: at for worker, at in self._alive_at.items() if worker in counts}
        self._seen = dict(counts)

    def alive(self) -> tuple[str, ...]:
        """Ids of the workers that live."""
        return tuple(name for name, at in self._alive_at.items() if self.clock() - at <= self.patience_s)

    def silent(self) -> bool:
        """Whether no worker lives; not before one had the time to show that it does."""
        watched = self._felt_at is not None and self.clock() - self._felt_at > self.patience_s
        return watched and not self.alive()

    def worker(self) -> Part:
        """Whether a worker lives."""
        alive = self.alive()
        if alive:
            return Part(ok=True, detail=f"alive: {', '.join(sorted(alive))}")
        return Part(ok=False, detail="no worker beats; start one (`python -m app work`) or see its log")

    def database(self) -> Part:
        """Whether the database answered the last time."""
        return Part(ok=not self._problem, detail=self._problem or "answers")


@dataclass
class Knock:
    """Asks our own listener by C-ECHO, not more often than needed: each one is an association in its log."""

    settings: Settings
    clock: Callable[[], float] = time.monotonic
    _answer: Part | None = field(default=None, init=False)
    _asked_at: float = field(default=0.0, init=False)

    def listener(self) -> Part:
        """Whether the listener answers, or answered a moment ago."""
        if self._answer is None or self.clock() - self._asked_at > (GOOD_FOR_S if self._answer.ok else BAD_FOR_S):
            self._answer = listener(self.settings)
            self._asked_at = self.clock()
        return self._answer


def examine(settings: Settings, knock: Knock, pulse: Pulse) -> Health:
    """Look at every part now; takes as long as a C-ECHO to our own listener."""
    parts = {
        "listener": knock.listener(),
        "worker": pulse.worker(),
        "database": pulse.database(),
        "spool": disk(settings.spool.folder, settings.spool.min_free_mb),
        "results": disk(settings.results, 0),
        "destinations": destinations(settings),
    }
    return Health(ok=all(part.ok for part in parts.values()), version=__version__, parts=parts)


def listener(settings: Settings) -> Part:
    """Knock at our own listener with C-ECHO, at `listener.address` where it runs elsewhere."""
    options = settings.listener
    problem = reachable(
        DicomDestination(
            name="listener",
            host=options.address or EVERYWHERE.get(options.host, options.host),
            port=options.port,
            ae_title=options.ae_title,
            calling_ae_title=HEALTH_AE,
            timeout_s=ECHO_TIMEOUT_S,
            tls=None if options.tls is None else _knocking(options.tls),
        )
    )
    over = "" if options.tls is None else " over TLS"
    return Part(ok=problem is None, detail=problem or f"answers C-ECHO{over} on port {options.port}")


def _knocking(tls: ListenerTls) -> Tls:
    """How we call ourselves: we believe our own certificate and no other, by whatever name we reach it."""
    pair = None if tls.client_certificates is ClientCertificates.NONE else tls.knock or tls
    return Tls(
        ca_file=tls.certificate_file,
        certificate_file=pair.certificate_file if pair else None,
        key_file=pair.key_file if pair else None,
        check_host_name=False,
    )


def destinations(settings: Settings) -> Part:
    """Which destinations are left alone for now. The service is well all the same: documents wait, nothing is lost."""
    found = left_alone(settings.run)
    told = "; ".join(
        f"{each.destination} failed {each.failures} times in a row, tried again "
        f"{datetime.fromtimestamp(each.until).astimezone():%H:%M:%S}"
        for each in found
    )
    return Part(ok=True, detail=f"left alone: {told}; see `python -m app deliveries`" if told else "none is left alone")


def disk(folder: Path, min_free_mb: int) -> Part:
    """Whether a folder can be written and its disk has room."""
    if not folder.is_dir():
        return Part(ok=False, detail=f"{folder} is missing; the listener and the worker make it")
    if not os.access(folder, os.W_OK):
        return Part(ok=False, detail=f"{folder} cannot be written; see its owner and mode")
    free = free_mb(folder)
    if free <= min_free_mb:
        return Part(ok=False, detail=too_full(free, min_free_mb))
    return Part(ok=True, detail=f"{free} MB free")


def free_mb(folder: Path) -> int:
    """Megabytes that this user may still write there."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize // MEGABYTE


def too_full(free: int, min_free_mb: int) -> str:
    """What a full disk means, and what to do."""
    return f"{free} MB free, images are refused below {min_free_mb} MB; make room, or set spool.min_free_mb"
