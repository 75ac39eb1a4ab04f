"""What is done with goes after some days: images, results, and finished work in the workflow database.

The images of a study go only when everything that came of it has arrived where it was to go: every revision is final,
what lies in the spool is what was answered, no document is a dead letter, and nothing is on its way in.
"""

import fcntl
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Self

import structlog
from dbos import DBOSClient
from sqlalchemy.exc import SQLAlchemyError

from app import outcomes
from app.assemble import choose_copies
from app.errors import AppError
from app.outcomes import FINAL, OUTCOME, State, StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from app.study import revision_of
from app.workflow_database import open_engine
from app.worklist import Worklist

log = structlog.get_logger()

DAY_S = 86400.0
HOUR_S = 3600.0
BATCH = 500
FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
LOCK = "pruning.lock"
GONE = ".gone-"
REASONS = {
    State.RECEIVED: "it is not finished",
    State.PROCESSING: "it is not finished, or documents are on their way",
    State.UNDELIVERED: "documents were not made or not delivered; see `deliveries`",
    State.FAILED: "nothing could be made of it",
}
"""To keep the images of a study that has a revision in such a state."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What may go of one study.

    Attributes:
        study: Hash of its UID.
        images: How many of its images.
        bytes: Of these.
        results: Keys of revisions whose results go.
        kept: In words, why its images stay although they are old enough; "" where they go.
    """

    study: str
    images: int = 0
    bytes: int = 0
    results: tuple[str, ...] = ()
    kept: str = ""


def prune(settings: Settings, *, dry_run: bool = False, now: float | None = None) -> tuple[Pruned, ...]:
    """Remove images and results that are old enough and done with, and finished work from the database.

    Args:
        settings: Of the installation.
        dry_run: Only say what would go.
        now: Unix time.

    Returns:
        What went, and what is old enough and stays, with the reason.

    Raises:
        AppError: The database or its settings cannot be used.
    """
    now = time.time() if now is None else now
    with _Rows(settings) as rows:
        found = tuple(_prune_studies(settings, rows, dry_run=dry_run, now=now))
        if not dry_run and settings.retention.workflows_days is not None:
            rows.remove_older(now - settings.retention.workflows_days * DAY_S)
    return found


def why_kept(family: Sequence[StudyOutcome], current: str) -> str:
    """Why the images of a study have to stay, in words; "" where nothing speaks against their going.

    Args:
        family: Every revision of the study.
        current: Revision of what lies in the spool now, without what says whether its sender broke off.
    """
    if not any(_set(outcome) == current for outcome in family):
        return "what lies in the spool was not analysed yet"
    for outcome in family:
        if outcome.state in REASONS:
            return REASONS[outcome.state]
    if all(outcome.state is State.UNWANTED for outcome in family):
        return ""
    if not any(receipt.delivered for outcome in family for receipt in outcome.receipts):
        return "its documents went nowhere: no destination wants them"
    return ""


def _set(outcome: StudyOutcome) -> str:
    return revision_of(Path(name) for name in outcome.files)


def _prune_studies(settings: Settings, rows: "_Rows", *, dry_run: bool, now: float) -> Iterator[Pruned]:
    retention = settings.retention
    if retention.spool_days is None:
        return
    spool = Spool(settings.spool.folder, settings.spool.min_free_mb)
    families = _families(settings.results)
    for study in spool.study_keys():
        found = _prune_images(spool, study, families.get(study, ()), now - retention.spool_days * DAY_S, dry_run)
        if found is not None:
            yield found
    if retention.results_days is None:
        return
    for study, folders in sorted(families.items()):
        if not spool.holds(study):
            gone = _prune_results(study, folders, now - retention.results_days * DAY_S, rows, dry_run)
            if gone is not None:
                yield gone


def _prune_images(spool: Spool, study: str, folders: Sequence[Path], before: float, dry_run: bool) -> Pruned | None:
    versions = spool.versions(study)
    files = [file for copies in versions for file in copies]
    try:
        if not files or max(file.stat().st_mtime for file in files) > before:
            return None
        current = revision_of(choose_copies(versions).files)
        size = sum(file.stat().st_size for file in files)
        family = _read(folders)
    except FileNotFoundError:
        return None  # something else goes on with it
    except AppError as error:
        return Pruned(study, len(files), kept=str(error))
    if any(ended > before for ended, _ in family):
        return None
    kept = why_kept([outcome for _, outcome in family], current)
    if kept or dry_run:
        return Pruned(study, len(files), size, kept=kept)
    return _remove_images(spool, study, files)


def _remove_images(spool: Spool, study: str, files: Sequence[Path]) -> Pruned:
    freed = spool.remove(study, frozenset(file.name for file in files))
    if freed is None:
        return Pruned(study, len(files), kept="images of it are arriving")
    log.info("images_pruned", study=study[:12], images=len(files), bytes=freed)
    return Pruned(study, len(files), freed)


def _prune_results(study: str, folders: Sequence[Path], before: float, rows: "_Rows", dry_run: bool) -> Pruned | None:
    try:
        family = _read(folders)
    except (FileNotFoundError, AppError):
        return None
    if any(ended > before or outcome.state in REASONS for ended, outcome in family):
        return None
    keys = tuple(outcome.key for _, outcome in family)
    if not dry_run:
        # First: a study that is sent again is then new, and not one whose results are missing.
        rows.remove_studies(keys)
        for folder in folders:
            gone = folder.with_name(f"{GONE}{folder.name}")
            folder.rename(gone)
            shutil.rmtree(gone)
        rows.forget(keys)
        log.info("results_pruned", study=study[:12], revisions=len(keys))
    return Pruned(study, results=keys)


def _families(results: Path) -> Mapping[str, Sequence[Path]]:
    """The folders of all revisions of each study; what an earlier round left half removed goes now."""
    found: dict[str, list[Path]] = defaultdict(list)
    for folder in sorted(results.iterdir()) if results.is_dir() else ():
        if folder.name.startswith(GONE):
            shutil.rmtree(folder)
        elif (folder / OUTCOME).is_file():
            found[folder.name.partition("-")[0]].append(folder)
    return found


def _read(folders: Sequence[Path]) -> Sequence[tuple[float, StudyOutcome]]:
    """Each outcome with the time since which nothing changed in it, infinite where it is not final."""
    found = []
    for folder in folders:
        changed = (folder / OUTCOME).stat().st_mtime
        outcome = outcomes.read(folder)
        if outcome is not None:
            found.append((max(changed, outcome.finished_at) if outcome.finished_at else math.inf, outcome))
    return found


class _Rows:
    """The finished work in the workflow database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = open_engine(settings.database)
        self._client = DBOSClient(system_database_engine=self._engine, lazy=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.destroy()
        self._engine.dispose()

    def remove_studies(self, keys: Sequence[str]) -> None:
        for key in keys:
            found = self._client.list_workflows(workflow_id_prefix=key, load_input=False, load_output=False)
            self._client.delete_workflows([each.workflow_id for each in found])

    def forget(self, keys: Sequence[str]) -> None:
        """Remove what the index of studies holds of them; it names the patient."""
        Worklist(self._settings, self._engine).forget(keys)

    def remove_older(self, before: float) -> int:
        """Remove what finished before a Unix time, of studies that are final or whose results are gone."""
        until = datetime.fromtimestamp(before, UTC).isoformat()
        kept = removed = 0
        while True:
            found = self._client.list_workflows(
                status=FINISHED, completed_before=until, limit=BATCH, offset=kept, load_input=False, load_output=False
            )
            gone = [each.workflow_id for each in found if self._is_done(each.workflow_id.partition("/")[0])]
            self._client.delete_workflows(gone)
            kept += len(found) - len(gone)
            removed += len(gone)
            if len(found) < BATCH:
                break
        if removed:
            log.info("workflows_pruned", workflows=removed)
        return removed

    def _is_done(self, key: str) -> bool:
        try:
            outcome = outcomes.read(self._settings.results / key)
        except AppError:
            return False
        return outcome is None or outcome.state in FINAL


@dataclass
class Hourly:
    """Prunes once an hour, in one worker of the host, beside its work.

    Attributes:
        settings: Of the installation.
    """

    settings: Settings
    _due: float = field(default=0.0, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def look(self) -> None:
        """Begin a round where one is due; returns at once."""
        if time.monotonic() < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        self._due = time.monotonic() + HOUR_S
        self._thread = Thread(target=self._round, name="retention", daemon=True)
        self._thread.start()

    def _round(self) -> None:
        try:
            with alone(self.settings.run) as ours:
                if ours:
                    prune(self.settings)
        except (AppError, OSError, SQLAlchemyError) as error:
            # Nothing is lost by it: the next round tries again.
            why = str(error) if isinstance(error, AppError) else type(error).__name__
            log.warning("not_pruned", reason=why)


@contextmanager
def alone(run: Path) -> Iterator[bool]:
    """Whether nobody else prunes, or takes a backup, meanwhile."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
