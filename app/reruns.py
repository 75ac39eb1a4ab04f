"""Analyse a revision once more, because an operator asks for it: a new run with an identity of its own.

The first analysis stays what it is. The new one is a revision of the same images (`revision_of(…, run=2)`), so that its
documents carry their own UIDs, name those that they stand for, and supersede them by the rules of `app.revisions`.

The web side asks, a worker begins. In between lies one file for each question, `<results>/.reruns/<key>.json`:
whichever dies, the question is answered, and once.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from app import outcomes, revisions
from app.errors import Rejected, Retryable
from app.outcomes import FINAL, StudyOutcome
from app.reassembly import files_of
from app.retention import alone
from app.settings import Settings
from app.study import revision_of

FOLDER: Final = ".reruns"
LOCK: Final = ".lock"
NOTE: Final = "analysed again because an operator asked for it"

log = structlog.get_logger()

_ADAPTER = TypeAdapter(StudyOutcome)


def ask(settings: Settings, key: str, now: float | None = None) -> StudyOutcome:
    """Ask for another run of a revision, durably; a worker begins it within moments.

    Args:
        settings: Of the installation.
        key: Of the revision.
        now: Unix time.

    Returns:
        The new revision, received.

    Raises:
        Rejected: It cannot be analysed again, or need not be; the reason says what to do.
        Retryable: Images are pruned or backed up at this moment, or the disk is full.
    """
    with _locked(settings.results), alone(settings.run) as nobody_prunes:
        if not nobody_prunes:
            raise Retryable("images are pruned or backed up at this moment; ask again when that is done")
        known = outcomes.read(settings.results / key)
        if known is None:
            raise Rejected("no study of that key is known; the worklist shows what is")
        family = revisions.others(settings.results, key)
        _check(settings, known, family)
        asked = _next_run(known, family, time.time() if now is None else now)
        # First the question: where the outcome alone were left behind, nobody would ever begin it.
        _write(settings.results / FOLDER / f"{asked.key}.json", asked)
        return outcomes.begin(settings.results, asked)


def take(results: Path, begin: Callable[[str], None]) -> int:
    """Begin what was asked for; a worker's side.

    Args:
        results: Folder of the settings.
        begin: Starts the workflow of a key, durably; one that is there already stays as it is.

    Returns:
        How many were begun.
    """
    begun = 0
    for path in sorted((results / FOLDER).glob("*.json")):
        with _held(path) as ours:
            if ours and _begin(results, path, begin):
                begun += 1
    return begun


def _begin(results: Path, path: Path, begin: Callable[[str], None]) -> bool:
    try:
        asked = _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return False  # another worker has begun it
    except ValidationError:
        log.error("rerun_damaged", file=path.name[:12], advice="ask for it once more")  # noqa: TRY400  says it all
        path.replace(path.with_suffix(".damaged"))
        return False
    outcomes.begin(results, asked)
    begin(asked.key)
    path.unlink(missing_ok=True)
    log.info("study_begun_again", study=asked.key[:12], revision=asked.key.rpartition("-")[2], run=asked.run)
    return True


def _check(settings: Settings, known: StudyOutcome, family: tuple[StudyOutcome, ...]) -> None:
    if known.state not in FINAL:
        raise Rejected("this revision is not finished; wait until it is")
    newer = next((each for each in family if revisions.is_newer(each, known)), None)
    if newer is not None:
        raise Rejected(
            f"there is a newer revision of this study, {newer.key.rpartition('-')[2]}; analyse that one again"
        )
    files = files_of(settings.spool.folder, known)
    missing = sum(not file.is_file() for file in files)
    if missing or not files:
        raise Rejected(
            f"{missing} of {len(files)} images are not here any more (retention removes them after delivery); send the "
            "study once more"
        )


def _next_run(known: StudyOutcome, family: tuple[StudyOutcome, ...], now: float) -> StudyOutcome:
    same = [each.run for each in family if (each.files, each.interrupted) == (known.files, known.interrupted)]
    run = max([known.run, *same]) + 1
    revision = revision_of((Path(name) for name in known.files), interrupted=known.interrupted, run=run)
    notes = tuple(note for note in known.arrival_notes if not note.startswith(NOTE))
    return StudyOutcome(
        key=f"{known.key.partition('-')[0]}-{revision}",
        # Later than what it stands for, whatever the clock says.
        received_at=max(now, known.received_at + 0.001),
        files=known.files,
        interrupted=known.interrupted,
        arrival_notes=(*notes, f"{NOTE} (run {run})"),
        arrival_signs=known.arrival_signs,
        run=run,
    )


def _write(path: Path, asked: StudyOutcome) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(_ADAPTER.dump_json(asked))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise Retryable(f"{path.parent}: {error.strerror}; make room or give write access") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _locked(results: Path) -> Iterator[None]:
    """One who asks at a time: of two tabs the second finds what the first has asked for."""
    try:
        (results / FOLDER).mkdir(parents=True, exist_ok=True)
        file = (results / FOLDER / LOCK).open("a")
    except OSError as error:
        raise Retryable(f"{results}: {error.strerror}; give write access to the folder of results") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether a question is ours to answer; the lock dies with its process."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
