"""What the page of the system shows: plain values for its template, each with what to do where something is wrong."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from app.arrivals import Arrivals
from app.backlog import Backlog
from app.breakers import LeftAlone
from app.destinations import (
    Destination,
    DicomDestination,
    DicomWebDestination,
    FhirDestination,
    Hl7Destination,
    WebhookDestination,
)
from app.documents import Receipt
from app.errors import Rejected
from app.findings import Outcome
from app.outcomes import State, StudyOutcome
from app.settings import Settings
from app.tls.certificates import of_file

MOST_ERRORS = 20
AGAIN = "Mend what the reason says, then have the study analysed again from its page, or send it again."
NO_REPORT = "The images cannot be used as they are: see the series on the page of the study, and send them again."


@dataclass(frozen=True, slots=True)
class Disk:
    """One folder of ours and the disk below it, bytes.

    Attributes:
        name: "spool", "results".
        free, size: Of the disk.
        low: Whether there is too little room for new images.
        problem: Why it cannot be seen.
    """

    name: str
    folder: Path
    free: int = 0
    size: int = 0
    low: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits in a queue of the workflow database; `oldest_s` is the age of the oldest."""

    name: str
    what: str
    depth: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class ArrivalCount:
    """Studies that no worker has begun; `oldest_at`: Unix time of the last image of the one that waits longest."""

    studies: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker that the database knows."""

    name: str
    alive: bool
    version: str


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """One destination.

    Attributes:
        name, kind, address: From the settings.
        last: Its newest answer among the newest studies; None where none of them went there.
        last_at: Unix time at which the study of that answer was finished.
        alone: Where it is left alone for now.
        waiting, dead, uncommitted: Documents on their way, given up, and stored without a commitment.
    """

    name: str
    kind: str
    address: str
    last: Receipt | None
    last_at: float | None
    alone: LeftAlone | None
    waiting: int
    dead: int
    uncommitted: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that went wrong with a study, and what to do. No patient data."""

    study: str
    at: float
    what: str
    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate of ours; `problem` tells why it cannot be read, or that its end is near."""

    whose: str
    until: float | None
    problem: str


def disks(settings: Settings) -> tuple[Disk, ...]:
    """The disks below our folders."""
    return tuple(
        _disk(name, folder, min_free_mb)
        for name, folder, min_free_mb in (
            ("spool", settings.spool.folder, settings.spool.min_free_mb),
            ("results", settings.results, 0),
        )
    )


def destination_rows(
    settings: Settings, backlog: Backlog | None, alone: Sequence[LeftAlone], studies: Sequence[StudyOutcome]
) -> tuple[DestinationRow, ...]:
    """Every destination with its last result."""
    left = {each.destination: each for each in alone}
    rows = []
    for destination in settings.destinations:
        name = destination.name
        last, at = _last(name, studies)
        waiting, dead, uncommitted = _counts(backlog, name)
        rows.append(
            DestinationRow(
                name, destination.kind, address_of(destination), last, at, left.get(name), waiting, dead, uncommitted
            )
        )
    return tuple(rows)


def address_of(destination: Destination) -> str:
    """Where a destination is, without anything secret."""
    match destination:
        case DicomDestination():
            return f"{destination.ae_title} at {destination.host}:{destination.port}"
        case Hl7Destination():
            return f"{destination.host}:{destination.port}"
        case DicomWebDestination() | FhirDestination() | WebhookDestination():
            return f"{destination.url.scheme}://{destination.url.host}:{destination.url.port}"


def arrivals_of(settings: Settings) -> ArrivalCount:
    """What has come and was not begun, whether or not a worker runs."""
    found = Arrivals(settings).marked().values()
    return ArrivalCount(len(found), min(found) / 1e9 if found else None)


def worker_rows(known: Mapping[str, str], alive: Sequence[str]) -> tuple[WorkerRow, ...]:
    """Workers that the database knows by their versions, the living first."""
    rows = [WorkerRow(name, name in alive, version) for name, version in known.items()]
    return tuple(sorted(rows, key=lambda each: (not each.alive, each.name)))


def troubles(studies: Sequence[StudyOutcome], backlog: Backlog | None) -> tuple[Trouble, ...]:
    """The last things that went wrong, the newest first."""
    found = [trouble for outcome in studies for trouble in _of_study(outcome)]
    for row in () if backlog is None else backlog.troubles:
        what = f"{row.standing}: {row.document}" + (f" to {row.destination}" if row.destination else "")
        found.append(Trouble(row.study, row.received_at, what, row.reason, row.advice))
    return tuple(sorted(found, key=lambda each: -each.at)[:MOST_ERRORS])


def certificates(settings: Settings) -> tuple[CertificateRow, ...]:
    """Our certificates and their ends."""
    return tuple(_certificate(whose, path) for whose, path in _ours(settings))


def associations(registry: CollectorRegistry) -> Mapping[str, float] | None:
    """Open, accepted and broken off associations of the listener; None where its figures are shown elsewhere."""
    names = {
        "open": "vigil_associations_open",
        "accepted": "vigil_associations_accepted_total",
        "broken off": "vigil_associations_broken_off_total",
    }
    found = {word: registry.get_sample_value(name) for word, name in names.items()}
    return None if found["open"] is None else {word: value or 0.0 for word, value in found.items()}


def _disk(name: str, folder: Path, min_free_mb: int) -> Disk:
    try:
        space = os.statvfs(folder)
    except OSError as error:
        return Disk(name, folder, problem=f"{error.strerror}; the listener and the worker make it")
    free, size = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    return Disk(name, folder, free, size, low=free <= min_free_mb << 20)


def _last(name: str, studies: Sequence[StudyOutcome]) -> tuple[Receipt | None, float | None]:
    for outcome in sorted(studies, key=lambda each: -(each.finished_at or 0)):
        receipts = [each for each in outcome.receipts if each.destination == name and not each.superseded_by]
        if receipts:
            failed = [each for each in receipts if not each.delivered]
            return (failed or receipts)[-1], outcome.finished_at
    return None, None


def _counts(backlog: Backlog | None, name: str) -> tuple[int, int, int]:
    if backlog is None:
        return 0, 0, 0
    return backlog.waiting.get(name, 0), backlog.dead_letters.get(name, 0), backlog.commitments.get(name, 0)


def _of_study(outcome: StudyOutcome) -> Iterator[Trouble]:
    at = outcome.finished_at or outcome.received_at
    if outcome.state is State.FAILED or outcome.problem:
        yield Trouble(outcome.key, at, "the study failed", outcome.problem, AGAIN)
    for report in outcome.reports:
        if report.outcome in {Outcome.FAILED, Outcome.NOT_ATTEMPTED}:
            advice = AGAIN if report.outcome is Outcome.FAILED else NO_REPORT
            yield Trouble(outcome.key, at, f"{report.algorithm.name} gave no answer", report.reason, advice)


def _ours(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.listener.tls is not None:
        yield "listener", settings.listener.tls.certificate_file
        if settings.listener.tls.knock is not None:
            yield "listener's own health check", settings.listener.tls.knock.certificate_file
    if settings.http.tls is not None:
        yield "web", settings.http.tls.certificate_file
    for destination in settings.destinations:
        if destination.tls is not None and destination.tls.certificate_file is not None:
            yield f"to {destination.name}", destination.tls.certificate_file


def _certificate(whose: str, path: Path) -> CertificateRow:
    try:
        facts = of_file(path, whose)
    except Rejected as error:
        return CertificateRow(whose, None, str(error))
    return CertificateRow(whose, facts.not_after, facts.warning(time.time()))
