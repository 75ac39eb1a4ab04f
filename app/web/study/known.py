"""The studies that pages show: outcomes from disk, images from the spool, a few of them assembled at a time."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from fastapi import HTTPException

from app.errors import AppError
from app.outcomes import OUTCOME, StudyOutcome, study
from app.reassembly import files_of, reassemble
from app.receive.pruning import Tombstones
from app.settings import Settings
from app.slices import SlicePlace, slice_places
from app.study import Series, Study
from app.workflow_look import with_looks

Name = TypeVar("Name")
Value = TypeVar("Value")
REMEMBERED: Final = 12
UNKNOWN: Final = "No study of that key or StudyInstanceUID is known here. The worklist shows what is."
REMOVED: Final = "This study was removed from this service after its results had arrived (retention)."
NO_IMAGES: Final = (
    "The images of this study were removed from this service after its results had arrived (retention). They are in "
    "the PACS; send the study once more to see them here."
)


@dataclass
class Known:
    """What an installation knows of its studies.

    Attributes:
        settings: Of the installation.
    """

    settings: Settings
    _studies: OrderedDict[str, Study] = field(default_factory=OrderedDict, init=False)
    _places: OrderedDict[tuple[str, int], tuple[SlicePlace, ...]] = field(default_factory=OrderedDict, init=False)
    _outcomes: OrderedDict[str, tuple[int, StudyOutcome]] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def outcome(self, key: str) -> StudyOutcome:
        """A study revision, by its key, or the newest by StudyInstanceUID.

        Raises:
            HTTPException: 404, nobody knows it; 410, retention has removed it.
        """
        found = self._read(key)
        if found is not None:
            return found
        tombstones = Tombstones(self.settings.spool.folder / "pruned")
        name = key.partition("-")[0]
        if len(name) == 32 and name.isalnum() and tombstones.images(name):
            raise HTTPException(410, REMOVED)
        raise HTTPException(404, UNKNOWN)

    def _read(self, key: str) -> StudyOutcome | None:
        """Slice after slice asks for the same outcome: it is read again only once it has changed."""
        file = self.settings.results / key / OUTCOME
        try:
            changed = file.stat().st_mtime_ns
        except (OSError, ValueError):
            return study(self.settings, key)
        with self._lock:
            before, known = self._outcomes.get(key, (0, None))
        if known is not None and before == changed:
            return known
        found = study(self.settings, key)
        if found is not None:
            with self._lock:
                _keep(self._outcomes, key, (changed, found))
        return found

    def folder(self, outcome: StudyOutcome) -> Path:
        """Where the results of a revision lie."""
        return self.settings.results / outcome.key

    def has_images(self, outcome: StudyOutcome) -> bool:
        """Whether the images of a revision are still in the spool, every one of them."""
        files = files_of(self.settings.spool.folder, outcome)
        return bool(files) and all(file.is_file() for file in files)

    def study(self, outcome: StudyOutcome) -> Study:
        """The assembled study of a revision.

        Raises:
            HTTPException: 410, its images were removed; 422, nothing can be made of them.
        """
        if not self.has_images(outcome):
            raise HTTPException(410, NO_IMAGES)
        with self._lock:
            if outcome.key in self._studies:
                self._studies.move_to_end(outcome.key)
                return self._studies[outcome.key]
        try:
            made = with_looks(reassemble(self.settings.spool.folder, outcome), outcome.looks)
        except AppError as error:
            raise HTTPException(422, str(error)) from error
        with self._lock:
            _keep(self._studies, outcome.key, made)
        return made

    def series(self, outcome: StudyOutcome, number: int) -> Series:
        """A stack of a revision by its place in the study, from 0.

        Raises:
            HTTPException: 404, there is no such stack; otherwise as `study`.
        """
        every = self.study(outcome).series
        if not 0 <= number < len(every):
            raise HTTPException(404, f"this study has {len(every)} series, counted from 0; there is none {number}")
        return every[number]

    def places(self, outcome: StudyOutcome, number: int) -> tuple[SlicePlace, ...]:
        """Where each slice of a stack lies; raises as `series`, and 422 where its frames cannot be told."""
        with self._lock:
            if (outcome.key, number) in self._places:
                return self._places[outcome.key, number]
        try:
            found = slice_places(self.series(outcome, number))
        except AppError as error:
            raise HTTPException(422, str(error)) from error
        with self._lock:
            _keep(self._places, (outcome.key, number), found)
        return found


def _keep(kept: OrderedDict[Name, Value], name: Name, value: Value) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
