"""What became of a study revision: one frozen value, kept as `outcome.json` beside its documents.

Every stage adds what it knows with `record`; adding the same again changes nothing, so that a stage that is run again
after a crash does no harm. The web side reads these files and needs neither database nor torch.
"""

import fcntl
import heapq
import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from app.assignment import Assignment, Decision
from app.documents import Document, Receipt, Waiting
from app.errors import Rejected, Retryable
from app.findings import Report
from app.settings import Settings
from app.study import Look, uid_hash

OUTCOME = "outcome.json"
CHANGED = "changed"
"""Folder beside those of the studies: an empty file for each whose outcome has changed since the index last looked."""


class State(StrEnum):
    """Where a study revision stands."""

    RECEIVED = "received"
    PROCESSING = "processing"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    SUPERSEDED = "superseded"
    UNWANTED = "unwanted"
    FAILED = "failed"


FINAL = frozenset(State) - {State.RECEIVED, State.PROCESSING}


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one stage took, seconds; `what` tells several of one stage apart."""

    stage: str
    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Shipment:
    """One document on its way to one destination, by file name and name in the settings."""

    document: str
    destination: str


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """Everything that is known of one study revision.

    Attributes:
        key: `Study.key`, the name of the folder.
        received_at: Unix time of the last image of this revision.
        finished_at: Unix time at which the last receipt was there; None before.
        files: Names of the spooled files that make the revision.
        interrupted: Whether the sender broke off before it had finished.
        arrival_notes: What else was odd about how the files came, in words.
        arrival_signs: Signs, seen at the arrival, that images are missing.
        study_uid: StudyInstanceUID, "" until the study was assembled.
        modalities: Of its series, sorted; () until then, and of studies from before this was noted.
        notes: What was odd about the study, in words.
        problem: In words, why nothing could be made of a study or of one of its assignments; empty where all went well.
        looks: What the pictures of radiographs show, as far as somebody looked.
        decision: Routing, with the reasons of every rule that declined; None before.
        begun: Names of the assignments whose analysis was begun, one for each time: a study that kills the worker
            shows here several times.
        reports: One for each assignment that was analysed, or that ended undetermined.
        documents: Every document, also one that could not be made.
        shipments: What is to be delivered.
        receipts: How deliveries ended; one for each shipment in the end.
        waiting: Deliveries that were begun and have not ended, and why.
        timings: Seconds of each stage.
        sources: AE titles that the images came from; () until the study was assembled, and of studies from before this
            was noted.
        run: How often this set of images was taken up: 1, and one more each time that somebody asked for it again. From
            2 on `received_at` is the time of the asking.
    """

    key: str
    received_at: float
    finished_at: float | None = None
    files: tuple[str, ...] = ()
    interrupted: bool = False
    arrival_notes: tuple[str, ...] = ()
    arrival_signs: tuple[str, ...] = ()
    study_uid: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""
    looks: tuple[Look, ...] = ()
    decision: Decision | None = None
    begun: tuple[str, ...] = ()
    reports: tuple[Report, ...] = ()
    documents: tuple[Document, ...] = ()
    shipments: tuple[Shipment, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    timings: tuple[Timing, ...] = ()
    modalities: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    run: int = 1

    @property
    def state(self) -> State:
        """Derived from what is known, so that it can never contradict it."""
        if self.problem and not self.shipments:
            return State.FAILED
        if self.decision is None:
            return State.RECEIVED
        if not self.decision.assignments:
            return State.UNWANTED
        waiting = len(self.reports) < len(self.decision.assignments) and not self.problem
        if waiting or self.pending:
            return State.PROCESSING
        return self._end

    @property
    def pending(self) -> tuple[Shipment, ...]:
        """Shipments that have no receipt yet."""
        done = {(receipt.document, receipt.destination) for receipt in self.receipts}
        return tuple(each for each in self.shipments if (each.document, each.destination) not in done)

    @property
    def seconds(self) -> float | None:
        """From the last image to the last receipt; None while it is not finished."""
        return None if self.finished_at is None else self.finished_at - self.received_at

    @property
    def _end(self) -> State:
        if any(not receipt.delivered and not receipt.superseded_by for receipt in self.receipts):
            return State.UNDELIVERED
        if any(receipt.superseded_by for receipt in self.receipts):
            return State.SUPERSEDED
        unmade = any(document.problem for document in self.documents)
        return State.UNDELIVERED if self.problem or unmade else State.DELIVERED


log = structlog.get_logger()

_ADAPTER = TypeAdapter(StudyOutcome)
KEY = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}")
"""Of a study revision: `Study.key`."""


def read(folder: Path) -> StudyOutcome | None:
    """Read the outcome in a study's folder of results; None where there is none.

    Raises:
        Rejected: The file is damaged.
    """
    try:
        raw = (folder / OUTCOME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _ADAPTER.validate_json(raw)
    except ValidationError as error:
        raise Rejected(f"{folder / OUTCOME} is damaged; remove the folder and restart the worker") from error


def begin(results: Path, outcome: StudyOutcome) -> StudyOutcome:
    """Write down that a study revision was received; what is there already stays as it is.

    Raises:
        Retryable: The disk is full or broken.
    """
    folder = results / outcome.key
    with _locked(folder):
        found = read(folder)
        if found is None:
            _write(folder, outcome)
        return found or outcome


def record(folder: Path, change: Callable[[StudyOutcome], StudyOutcome]) -> StudyOutcome:
    """Change an outcome, durably, one writer at a time over all processes of the host.

    Args:
        folder: The study's folder of results.
        change: Gets what is known and gives what is known now; calling it again on its own answer changes nothing.

    Raises:
        Rejected: The study was never begun, or its file is damaged.
        Retryable: The disk is full or broken.
    """
    if not folder.is_dir():
        raise Rejected(f"{folder} is missing; send the study again")
    with _locked(folder):
        before = read(folder)
        if before is None:
            raise Rejected(f"{folder / OUTCOME} is missing; send the study again")
        after = change(before)
        if after.finished_at is None and after.state in FINAL:
            after = replace(after, finished_at=time.time())
        if after != before:
            _write(folder, after)
        return after


def with_timing(outcome: StudyOutcome, timing: Timing) -> StudyOutcome:
    """Add a timing, or replace that of the same stage and subject."""
    others = tuple(each for each in outcome.timings if (each.stage, each.what) != (timing.stage, timing.what))
    return replace(outcome, timings=(*others, timing))


def with_report(
    outcome: StudyOutcome, report: Report, documents: Sequence[Document], shipments: Sequence[Shipment]
) -> StudyOutcome:
    """Add a report with its documents and where they go; that of the same bundle and stack is replaced."""
    identity = _identity(report)
    names = {document.path.name for document in documents}
    return replace(
        outcome,
        reports=(*(each for each in outcome.reports if _identity(each) != identity), report),
        documents=(*(each for each in outcome.documents if each.path.name not in names), *documents),
        shipments=(*(each for each in outcome.shipments if each.document not in names), *shipments),
    )


def with_receipt(outcome: StudyOutcome, receipt: Receipt) -> StudyOutcome:
    """Add a receipt. A document that a destination has once accepted stays accepted."""
    found = receipt_of(outcome, Shipment(receipt.document, receipt.destination))
    if found is not None and found.delivered:
        return outcome
    return replace(
        outcome,
        receipts=(*(each for each in outcome.receipts if each is not found), receipt),
        waiting=_others(outcome.waiting, receipt),
    )


def with_waiting(outcome: StudyOutcome, waiting: Waiting) -> StudyOutcome:
    """Note why a delivery has not ended, in the place of what was noted of it before."""
    return replace(outcome, waiting=(*_others(outcome.waiting, waiting), waiting))


def has_report(outcome: StudyOutcome, assignment: Assignment) -> bool:
    """Whether an assignment is answered, by whatever report."""
    wanted = (assignment.bundle, assignment.series_uid, assignment.stack)
    return any(_identity(report) == wanted for report in outcome.reports)


def waiting_of(outcome: StudyOutcome, shipment: Shipment) -> Waiting | None:
    """Why a delivery has not ended; None where it was not begun, or has."""
    for waiting in outcome.waiting:
        if (waiting.document, waiting.destination) == (shipment.document, shipment.destination):
            return waiting
    return None


def receipt_of(outcome: StudyOutcome, shipment: Shipment) -> Receipt | None:
    """How a delivery ended; None while it has not."""
    for receipt in outcome.receipts:
        if (receipt.document, receipt.destination) == (shipment.document, shipment.destination):
            return receipt
    return None


def studies(settings: Settings, limit: int = 100) -> list[StudyOutcome]:
    """The newest study revisions by the time of their last image, the newest first."""
    return list(islice(newest(settings), limit))


def newest(
    settings: Settings,
    received_until: float | None = None,
    damaged: Callable[[Path, float, Rejected], None] | None = None,
) -> Iterator[StudyOutcome]:
    """Every study revision by the time of its last image, the newest first, then by key; reads no more than is taken.

    Args:
        settings: Of the installation.
        received_until: Unix time; leaves out what came later.
        damaged: Called with the folder of an outcome that cannot be read, the Unix time of its last change and what is
            wrong with it, which is then left out.

    Raises:
        Rejected: A file is damaged, and nobody wants to be told of those.
    """
    found: list[tuple[float, str, StudyOutcome]] = []
    for changed_at, folder in _newest_change_first(settings.results.glob(f"*/{OUTCOME}")):
        # Nothing changes before it was received: what is left is older than what came after this change.
        while found and -found[0][0] > changed_at:
            yield heapq.heappop(found)[2]
        try:
            outcome = read(folder)
        except Rejected as error:
            if damaged is None:
                raise
            damaged(folder, changed_at, error)
            continue
        if outcome is not None and (received_until is None or outcome.received_at <= received_until):
            heapq.heappush(found, (-outcome.received_at, outcome.key, outcome))
    while found:
        yield heapq.heappop(found)[2]


def folders_of(results: Path, studies: Collection[str]) -> list[Path]:
    """The folders of every revision of some studies, by the hashes of their UIDs, sorted.

    Names alone are looked at: there may be 100 000 others.
    """
    try:
        names = os.listdir(results) if studies else []  # noqa: PTH208  a Path for each would take longer than all else
    except FileNotFoundError:
        return []
    return [results / name for name in sorted(names) if name[:32] in studies and KEY.fullmatch(name)]


def study(settings: Settings, key_or_uid: str) -> StudyOutcome | None:
    """One study: by its key, or the newest revision of a StudyInstanceUID or of its hash; None where unknown."""
    if KEY.fullmatch(key_or_uid):
        return read(settings.results / key_or_uid)
    for name in (key_or_uid, uid_hash(key_or_uid)):
        if re.fullmatch(r"[0-9a-f]{32}", name):
            found = [read(folder) for folder in folders_of(settings.results, {name})]
            revisions = [outcome for outcome in found if outcome is not None]
            if revisions:
                return max(revisions, key=lambda each: each.received_at)
    return None


def _others(waiting: Sequence[Waiting], one: Receipt | Waiting) -> tuple[Waiting, ...]:
    return tuple(each for each in waiting if (each.document, each.destination) != (one.document, one.destination))


def _identity(report: Report) -> tuple[str, str, int]:
    return report.algorithm.name, report.series_uid, report.stack


def _newest_change_first(files: Iterable[Path]) -> list[tuple[float, Path]]:
    return sorted(((file.stat().st_mtime, file.parent) for file in files), reverse=True)


def _write(folder: Path, outcome: StudyOutcome) -> None:
    content = {"state": outcome.state, **_ADAPTER.dump_python(outcome, mode="json")}
    temporary = folder / f".{OUTCOME}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / OUTCOME)
    tell_changed(folder.parent, folder.name)


def tell_changed(results: Path, key: str) -> None:
    """Tell the index of studies (`app.worklist`) to look at one again. It mends itself later where this fails."""
    try:
        (results / CHANGED).mkdir(exist_ok=True)
        (results / CHANGED / key).touch()
    except OSError as error:
        log.warning("index_not_told", study=key[:12], problem=error.strerror)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise Retryable(
            f"{folder}: {error.strerror}; make room or give write access to the folder of results"
        ) from error
