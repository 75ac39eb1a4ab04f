"""Backup while the service runs, and its restoration elsewhere: nothing lost, nothing sent twice.

Order: the database first, then results, then the spool. What came after the database was copied is then in results and
spool, and outcomes know of every receipt; the other way round the database would call work done that they do not show.
On restoration no half-done workflow is resumed: every study whose outcome is not final is begun anew from what is on
disk (`app.workflow_takeover`), and what lies in the spool without an outcome is taken up, as at every start.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dbos import DBOSClient
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import __version__, outcomes
from app.backup_database import copy_out, put_back
from app.errors import AppError, Failed, Rejected, Retryable
from app.locks import alone
from app.outcomes import CHANGED, FINAL, OUTCOME, StudyOutcome
from app.receive.interruptions import Interruptions
from app.receive.spool import Spool
from app.retention import pruning
from app.settings import Settings
from app.workflow_database import VERSION, open_engine, unreachable
from app.workflow_migration import migrate, version_of
from app.workflow_takeover import JOURNAL, UNFINISHED

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
FORMAT = 1
ROUNDS = 3
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds."""

    files: int
    bytes: int
    taken_at: float


def backup(settings: Settings, folder: Path, through: Path | None = None) -> Summary:
    """Copy database, results and spool into an empty folder, while the service runs.

    Args:
        settings: Of the installation.
        folder: Empty, or not there yet.
        through: A named pipe at which somebody waits to copy the database: `app.backup_database.copy_out`.

    Raises:
        Rejected: The folder is not empty.
        Retryable: Somebody prunes at this moment.
        Failed: The database cannot be copied with what is installed, or the folder cannot be written.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise Rejected(f"{folder} is not empty; give each backup a folder of its own")
        folder.mkdir(parents=True, exist_ok=True)
        return _copy_all(settings, folder, through)
    except (OSError, shutil.Error) as error:
        raise Failed(
            f"no backup was finished in {folder}: {_of_system(error)}; give a folder that this program can write and "
            "that has room for spool and results. Of containers, on the server: deploy/backup FOLDER"
        ) from error


def _copy_all(settings: Settings, folder: Path, through: Path | None) -> Summary:
    with pruning(settings.run) as ours:
        if not ours:
            raise Retryable("images are pruned or another backup is taken at this moment; try again when it is done")
        engine = open_engine(settings.database)
        try:
            tables = version_of(engine)
        except SQLAlchemyError as error:
            raise unreachable(engine.url, error) from error
        finally:
            engine.dispose()
        copy_out(settings.database, folder, through)
        _copy_results(settings.results, folder / "results")
        _copy_spool(settings, folder / "spool")
    return _seal(folder, tables)


def verify(folder: Path) -> Mapping[str, object]:
    """Read a backup's manifest and see that every file is there, as it was written.

    Raises:
        Rejected: Something is missing, damaged or not of a backup.
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
        seal = (folder / SEAL).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"{folder} is no finished backup: {MANIFEST} or its hash is missing") from error
    if hashlib.sha256(raw).hexdigest() != seal:
        raise Rejected(f"{folder / MANIFEST} is damaged; take another backup")
    manifest: dict[str, object] = json.loads(raw)
    if manifest["format"] != FORMAT:
        raise Rejected(f"{folder} has format {manifest['format']}, this program reads {FORMAT}; use the one it is of")
    files = manifest["files"]
    assert isinstance(files, dict)  # noqa: S101  its hash fits: we wrote it
    for name, (size, digest) in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size or _digest(path) != digest:
            raise Rejected(f"{path} is missing or damaged; take another backup")
    return manifest


def restore(settings: Settings, folder: Path, *, force: bool = False, through: Path | None = None) -> int:
    """Put a backup in the place of what is there. The service must not run.

    Args:
        settings: Of the installation.
        folder: What `backup` wrote.
        force: Also where there are data, which are lost.
        through: A named pipe at which somebody waits to put the database back: `app.backup_database.put_back`.

    Returns:
        How many studies the next worker begins anew.

    Raises:
        Rejected: The backup is damaged, or there is something already and `force` is not given.
        Failed: The service runs, the database cannot be put back with what is installed, or files cannot be read or
            written.
    """
    try:
        return _restore(settings, folder, through, force=force)
    except (OSError, shutil.Error) as error:
        raise Failed(
            f"{folder} was not restored, or not all of it: {_of_system(error)}; see owner, mode and room of what is "
            "named, then run it again with --force, which puts the backup in the place of what is there"
        ) from error


def _restore(settings: Settings, folder: Path, through: Path | None, *, force: bool) -> int:
    manifest = verify(folder)
    _refuse_running(settings)
    places = {"results": settings.results, "spool": settings.spool.folder}
    if not force:
        taken = [str(place) for place in places.values() if place.is_dir() and any(place.rglob("*.*"))]
        engine = open_engine(settings.database)
        try:
            if version_of(engine):
                taken.append("the database")
        except SQLAlchemyError as error:
            raise unreachable(engine.url, error) from error
        finally:
            engine.dispose()
        if taken:
            raise Rejected(f"{', '.join(taken)} hold data already; --force puts the backup in their place")
    put_back(settings.database, folder, str(manifest["database"]), through)
    for name, place in places.items():
        _replace(folder / name, place)
    migrate(settings.database)
    _drop_unfinished(settings)
    return _begin_anew(settings)


def _of_system(error: OSError | shutil.Error) -> str:
    """What went wrong, in the system's words; of several files the first."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _copy_results(results: Path, target: Path) -> None:
    for source in sorted(results.iterdir()) if results.is_dir() else ():
        if source.is_dir() and source.name != CHANGED:
            # The outcome first: whatever it names was there before it.
            names = sorted(source.iterdir(), key=lambda path: (path.name != OUTCOME, path.name))
            for path in names:
                if path.is_file() and not path.name.endswith(".tmp"):
                    _copy(path, target / source.name / path.name)


def _copy_spool(settings: Settings, target: Path) -> None:
    """Until nothing new came meanwhile; a study that is still being sent then counts as one whose sender broke off."""
    folder = settings.spool.folder
    spool = Spool(folder, settings.spool.min_free_mb)
    for part in ("studies", "interrupted", "pruned"):
        (target / part).mkdir(parents=True)
    growing: set[str] = set()
    for _ in range(ROUNDS):
        sending = {arrival.key for arrival in spool.arrivals() if arrival.open_associations}
        growing = {key for key in spool.study_keys() if _copy_study(folder, target, key)}
        if not growing:
            break
    growing |= sending | {arrival.key for arrival in spool.arrivals() if arrival.open_associations}
    for part in ("interrupted", "pruned"):
        for path in (folder / part).iterdir():
            if not path.name.startswith("."):
                _copy(path, target / part / path.name)
    marks = Interruptions(target / "interrupted")
    with marks.alone():
        for key in sorted(growing):
            if (target / "studies" / key).is_dir() and key not in marks:
                marks.mark(key)


def _copy_study(folder: Path, target: Path, key: str) -> bool:
    """Whether there was anything new."""
    copied = False
    for path in sorted((folder / "studies" / key).iterdir()):
        to = target / "studies" / key / path.name
        if not to.exists():
            copied = True
            _copy(path, to, link=True)
    return copied


def _copy(source: Path, target: Path, *, link: bool = False) -> None:
    """Images never change, so that they may be linked on one file system; what is gone meanwhile is left out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if link:
            try:
                os.link(source, target)
            except OSError:
                shutil.copy2(source, target)
        else:
            shutil.copy2(source, target)
    except FileNotFoundError:
        return


def _seal(folder: Path, tables: str) -> Summary:
    files = {str(path.relative_to(folder)): path for path in _files(folder)}
    taken_at = time.time()
    manifest = {
        "format": FORMAT,
        "program": __version__,
        "workflows": VERSION,
        "tables": tables,
        "database": next(name for name in files if name.startswith("database.")),
        "taken_at": taken_at,
        "files": {name: [path.stat().st_size, _digest(path)] for name, path in sorted(files.items())},
    }
    raw = json.dumps(manifest, indent=1).encode()
    for name, content in ((MANIFEST, raw), (SEAL, f"{hashlib.sha256(raw).hexdigest()}\n".encode())):
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    os.sync()
    return Summary(len(files), sum(path.stat().st_size for path in files.values()), taken_at)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _refuse_running(settings: Settings) -> None:
    for lock in sorted(settings.run.glob("*.lock")) if settings.run.is_dir() else ():
        with alone(lock) as ours:
            if not ours:
                raise Failed(f"the service runs ({lock} is held); stop listener, workers and web side first")


def _replace(source: Path, place: Path) -> None:
    """The folder itself stays: it may be a volume."""
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    if source.is_dir():
        shutil.copytree(source, place, dirs_exist_ok=True)


def _drop_unfinished(settings: Settings) -> None:
    engine = open_engine(settings.database)
    client = DBOSClient(system_database_engine=engine, lazy=True)
    try:
        found = client.list_workflows(status=UNFINISHED, load_input=False, load_output=False)
        client.delete_workflows([each.workflow_id for each in found])
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM vigil_workers"))
    finally:
        client.destroy()
        engine.dispose()


def _begin_anew(settings: Settings) -> int:
    """Leave a note for the next worker of every study that is not final; documents lie where the results do now."""
    journal = settings.run / JOURNAL
    journal.mkdir(parents=True, exist_ok=True)
    noted = 0
    for file in settings.results.glob(f"*/{OUTCOME}"):
        try:
            known = outcomes.record(file.parent, partial(_moved, file.parent))
        except AppError as error:
            raise Failed(f"the backup is restored, but {error}") from error
        if known.state not in FINAL:
            (journal / known.key).touch()
            noted += 1
    return noted


def _moved(folder: Path, known: StudyOutcome) -> StudyOutcome:
    return replace(known, documents=tuple(replace(each, path=folder / each.path.name) for each in known.documents))
