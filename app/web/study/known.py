"""The studies that pages show: outcomes from disk, images from the spool, a few of them assembled at a time."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from fastapi import HTTPException

from app.arrivals import Arrivals, begun_as, is_arrival
from app.errors import AppError
from app.outcomes import OUTCOME, StudyOutcome
from app.reassembly import files_of, reassemble
from app.receive.pruning import Tombstones
from app.receive.upload import AE_TITLE as UPLOADED
from app.settings import Settings
from app.slices import SlicePlace, slice_places
from app.study import Series, Study, revision_of
from app.web.templating import moment
from app.workflow_look import with_looks

Name = TypeVar("Name")
Value = TypeVar("Value")
REMEMBERED: Final = 12
UNKNOWN: Final = "No study of that key or StudyInstanceUID is known here. The worklist shows what is."
REMOVED: Final = "This study was removed from this service (retention): its images, and later its results."


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
    _arrivals: Arrivals = field(init=False)

    def __post_init__(self) -> None:
        self._arrivals = Arrivals(self.settings)

    def outcome(self, key: str) -> StudyOutcome:
        """A study revision, by its key, or the newest by StudyInstanceUID; or what has come of one nobody has begun.

        Raises:
            HTTPException: 404, nobody knows it; 410, retention has removed it.
        """
        found = self._read(key)
        if found is not None:
            return found
        name = key.partition("-")[0]
        if len(name) == 32 and name.isalnum() and self._tombstones.images(name):
            raise HTTPException(410, REMOVED)
        raise HTTPException(404, UNKNOWN)

    def _read(self, key: str) -> StudyOutcome | None:
        """Slice after slice asks for the same outcome: it is read again only once it has changed."""
        file = self.settings.results / key / OUTCOME
        try:
            changed = file.stat().st_mtime_ns
        except (OSError, ValueError):
            return self._arrivals.find(key)
        with self._lock:
            before, known = self._outcomes.get(key, (0, None))
        if known is not None and before == changed:
            return known
        found = self._arrivals.find(key)
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
            raise HTTPException(410, self._why_gone(outcome))
        name = name_of(outcome)
        with self._lock:
            if name in self._studies:
                self._studies.move_to_end(name)
                return self._studies[name]
        try:
            made = with_looks(self._assembled(outcome), outcome.looks)
        except AppError as error:
            raise HTTPException(422, str(error)) from error
        with self._lock:
            _keep(self._studies, name, made)
        return made

    def further(self, outcome: StudyOutcome) -> str:
        """Key under which further images of a study are told that no worker has begun; "" where there are none."""
        study = outcome.key.partition("-")[0]
        if is_arrival(outcome.key) or self._arrivals.marked_at(study) is None:
            return ""
        coming = self._arrivals.outcome(study)
        if coming is None or set(coming.files) <= set(outcome.files):
            return ""
        # A worker drops the marker only after it has begun the newest revision.
        begun = any((self.settings.results / key / OUTCOME).is_file() for key in begun_as(coming))
        return "" if begun else coming.key

    def _why_gone(self, outcome: StudyOutcome) -> str:
        """What the records tell of images that are not here any more: when they went, and how they had come."""
        at = self._tombstones.removed_at(outcome.key.partition("-")[0])
        if at is None:
            gone = "The images of this study are not in the spool any more, and nothing here tells why."
        else:
            gone = f"The images of this study were removed from this service on {moment(at)} UTC (retention)."
        return f"{gone} {_origin(outcome.sources)}; send the study once more to see them here."

    @property
    def _tombstones(self) -> Tombstones:
        return Tombstones(self.settings.spool.folder / "pruned")

    def _assembled(self, outcome: StudyOutcome) -> Study:
        if is_arrival(outcome.key):
            return self._arrivals.study(outcome)
        return reassemble(self.settings.spool.folder, outcome)

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
        name = name_of(outcome)
        with self._lock:
            if (name, number) in self._places:
                return self._places[name, number]
        try:
            found = slice_places(self.series(outcome, number))
        except AppError as error:
            raise HTTPException(422, str(error)) from error
        with self._lock:
            _keep(self._places, (name, number), found)
        return found


def _origin(sources: tuple[str, ...]) -> str:
    """Where images came from; where else they are, nothing here can tell."""
    titles = [title for title in sources if title != UPLOADED]
    ways = [f"from {' and '.join(titles)} by DICOM"] if titles else []
    ways += ["by upload to this service"] if UPLOADED in sources else []
    return f"They came {' and '.join(ways)}" if ways else "How they came was not noted"


def name_of(outcome: StudyOutcome) -> str:
    """What is remembered of a set of images goes by this name: an arrival grows under one key."""
    return (
        f"{outcome.key}.{revision_of(Path(name) for name in outcome.files)}" if is_arrival(outcome.key) else outcome.key
    )


def _keep(kept: OrderedDict[Name, Value], name: Name, value: Value) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
