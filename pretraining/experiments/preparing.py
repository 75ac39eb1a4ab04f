"""Images of an experiment, laid out once by its commands, checked, and known by a hash."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundles.common.headers import UnreadableImage
from bundles.common.strict import ConfigurationError
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.experiments.datalists import Datalist, read, told
from pretraining.experiments.identity import data_digest, digest
from pretraining.experiments.leaks import look, refuse
from pretraining.experiments.spec import Data
from pretraining.experiments.work import Job, perform

LEAKS = "leaks.json"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Images that are ready.

    Attributes:
        folder: That holds them.
        datalist: Read and checked.
        data_hash: Of datalist and images.
        near: Near-duplicates across sections that were allowed.
    """

    folder: Path
    datalist: Datalist
    data_hash: str
    near: int


def folder_of(data: Data, work: Path, images: Path | None) -> Path:
    """Where the images of these commands are laid out."""
    said = [data.prepare, str(images.resolve()) if images and _needs_images(data) else None]
    return work / "data" / digest(said)


def prepare(data: Data, work: Path, images: Path | None, say: Callable[[str], None]) -> Prepared:
    """Run the commands that have not been run, and look for patients and pictures on both sides.

    Args:
        data: As the experiment says it.
        work: Folder of everything that is made.
        images: Folder of real images, where the commands need one.
        say: Told what happens.

    Raises:
        ConfigurationError: Real images are needed and no folder was given.
        ArchiveError: A command failed, or the images cannot be taken; the message tells why.
    """
    check_images(data, images)
    folder = folder_of(data, work, images)
    values = {"folder": str(folder / "laid_out"), "data": str(images), "work": str(work)}
    steps = tuple(
        (f"prepare{number}", ("-m", *(_filled(part, values) for part in command)))
        for number, command in enumerate(data.prepare)
    )
    (folder / "laid_out").mkdir(parents=True, exist_ok=True)
    say(f"images: {data.name}")
    outcome = perform(Job(data.name, folder, steps, ("laid_out/datalist.json",)))
    if outcome.state != "done":
        raise ArchiveError(f"the images could not be laid out: {outcome.reason}")
    datalist = read(folder / "laid_out" / "datalist.json")
    names = [str(row["image"]) for row in datalist.rows()]
    lost = [name for name in names if not (datalist.images / name).is_file()]
    if lost:
        raise ArchiveError(
            f"{datalist.path}: {len(lost)} images are gone since it was made; delete {folder} and start again"
        )
    _expect_told(data, datalist)
    data_hash = data_digest(datalist.images, names, datalist.content)
    return Prepared(folder / "laid_out", datalist, data_hash, _leaks(data, folder, datalist, data_hash))


def _expect_told(data: Data, datalist: Datalist) -> None:
    """Look for findings and keys of metadata that nothing has: the measuring would stop at them, after the trainings.

    Raises:
        ConfigurationError: There are such.
    """
    keys = {key for row in datalist.rows() for key in told(row)}
    silent = [name for name in data.findings if name not in datalist.findings]
    absent = [key for key in (*data.metadata, *data.within) if key not in keys]
    for what, names, there in (("finding", silent, datalist.findings), ("metadata", absent, sorted(keys))):
        if names:
            raise ConfigurationError(
                f"'{data.name}': no image tells of the {what} {', '.join(names)}; the datalist has {', '.join(there)}"
            )


def check_images(data: Data, images: Path | None) -> None:
    """Look whether there is a folder of real images where one is needed.

    Raises:
        ConfigurationError: No folder was given, or there is none of that name.
    """
    if not _needs_images(data):
        return
    if images is None:
        raise ConfigurationError(f"'{data.name}' needs real images: --data FOLDER, which holds them")
    if not images.is_dir():
        raise ConfigurationError(f"--data {images} is no folder; '{data.name}' needs real images")


def _leaks(data: Data, folder: Path, datalist: Datalist, data_hash: str) -> int:
    path = folder / LEAKS
    asked = digest([data_hash, data.near, data.allow_near])
    if path.is_file() and (known := json.loads(path.read_text(encoding="utf-8")))["asked"] == asked:
        return int(known["near"])
    try:
        leaks = look(datalist, data.near)
    except UnreadableImage as error:
        raise ArchiveError(f"{datalist.path}: an image cannot be read: {error}") from error
    refuse(datalist, leaks, allow_near=data.allow_near)
    with whole_file(path) as temporary:
        found = {"asked": asked, "near": len(leaks.near), "highest": round(leaks.highest, 5)}
        temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return len(leaks.near)


def _needs_images(data: Data) -> bool:
    return any("{data}" in part for command in data.prepare for part in command)


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(f"{{{name}}}", value)
    return part
