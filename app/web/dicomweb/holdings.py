"""What there is to be asked for: images in the spool and DICOM documents among the results, by study."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Final

import structlog
from pydicom.dataset import Dataset

from app import outcomes
from app.assemble import choose_copies
from app.documents import DICOM_KINDS
from app.errors import Rejected, Retryable
from app.outcomes import StudyOutcome
from app.receive.spool import Spool
from app.revisions import related
from app.settings import Settings
from app.study import uid_hash
from app.web.dicomweb.attributes import READ
from app.worklist import Worklist
from bundles.common.elements import text
from bundles.common.headers import UnreadableImage, read_header

KEPT: Final = 64
"""Studies whose headers stay in memory: a viewer asks for the same one many times."""
FIRST_KEPT: Final = 20_000
"""Studies of which one header stays in memory: what a list is searched by."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """One instance.

    Attributes:
        path: Its file, as it was stored or made.
        header: Of it the attributes that searches are about.
        transfer_syntax_uid: How it is encoded.
    """

    path: Path
    header: Dataset
    transfer_syntax_uid: str

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        return text(self.header, "StudyInstanceUID")

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""
        return text(self.header, "SeriesInstanceUID")

    @property
    def sop_uid(self) -> str:
        """SOPInstanceUID."""
        return text(self.header, "SOPInstanceUID")


@dataclass
class Holdings:
    """The instances of an installation. What cannot be read is left out, and logged.

    Attributes:
        settings: Of the installation.
        worklist: The index of studies.
    """

    settings: Settings
    worklist: Worklist
    _spool: Spool | None = field(default=None, init=False)
    _studies: "OrderedDict[tuple[Path, ...], tuple[Held, ...]]" = field(default_factory=OrderedDict, init=False)
    _firsts: "OrderedDict[Path, Held | None]" = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def keys(self) -> Sequence[str]:
        """Hashes of the UIDs of all studies, the newest first."""
        found: dict[str, int] = {}
        for folder in (self.settings.spool.folder / "studies", self.settings.results):
            for path in folder.iterdir() if folder.is_dir() else ():
                key = path.name.partition("-")[0]
                if len(key) == 32 and path.is_dir():
                    try:
                        found[key] = max(found.get(key, 0), path.stat().st_mtime_ns)
                    except FileNotFoundError:
                        continue
        return sorted(found, key=lambda key: (-found[key], key))

    def coming(self) -> Sequence[str]:
        """Hashes of the UIDs of the studies of which images have come that no worker has taken up, the newest first."""
        spool = self._open_spool()
        arrivals = () if spool is None else spool.arrivals()
        return [each.key for each in sorted(arrivals, key=lambda each: -each.last_received)]

    def stamp(self, key: str) -> int:
        """Changes with the images of a study; 0 where there are none."""
        try:
            return (self.settings.spool.folder / "studies" / key).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def study(self, uid: str) -> tuple[Held, ...]:
        """The instances of a study, by its UID; () where there is none."""
        return tuple(each for each in self.of_key(uid_hash(uid)) if each.study_uid == uid)

    def of_key(self, key: str) -> tuple[Held, ...]:
        """The instances of a study, by the hash of its UID: of every image the copy that counts, then documents."""
        files = (*self._images(key), *self._documents(key))
        with self._lock:
            known = self._studies.get(files)
        if known is None:
            known = tuple(held for each in files if (held := _held(each)) is not None)
            with self._lock:
                self._studies[files] = known
                while len(self._studies) > KEPT:
                    self._studies.popitem(last=False)
        return known

    def first_of_key(self, key: str) -> Held | None:
        """One instance of a study, which tells what all of them share; None where none can be read."""
        # Lazily: the folder of results is only looked through for a study without images.
        for path in chain(self._images(key), self._documents(key)):
            known = self._once(path)
            if known is not None:
                return known
        return None

    def instance(self, study: str, series: str, sop: str) -> Held | None:
        """One instance by its UIDs; None where there is none."""
        key = uid_hash(study)
        # An image by its name alone: a viewer that asks for every frame does not have the whole study read each time.
        images = (path for path in self._images(key) if path.name.startswith(uid_hash(sop)))
        for path in chain(images, self._documents(key)):
            held = self._once(path)
            if held is not None and (held.study_uid, held.series_uid, held.sop_uid) == (study, series, sop):
                return held
        return None

    def _once(self, path: Path) -> Held | None:
        with self._lock:
            if path in self._firsts:
                return self._firsts[path]
        known = _held(path)
        with self._lock:
            self._firsts[path] = known
            while len(self._firsts) > FIRST_KEPT:
                self._firsts.popitem(last=False)
        return known

    def _images(self, key: str) -> tuple[Path, ...]:
        """Of every image of a study the copy that counts."""
        spool = self._open_spool()
        return () if spool is None else choose_copies(spool.versions(key)).files

    def _open_spool(self) -> Spool | None:
        """The spool; None where no image has ever come."""
        if self._spool is None and (self.settings.spool.folder / "studies").is_dir():
            self._spool = Spool(self.settings.spool.folder, self.settings.spool.min_free_mb)
        return self._spool

    def outcome(self, uid: str) -> StudyOutcome | None:
        """The newest revision of a study; None where nothing was made of it yet."""
        return outcomes.study(self.settings, uid)

    def _documents(self, key: str) -> Iterator[Path]:
        """DICOM documents of the revisions that no newer one stands for."""
        family = []
        for folder in self._folders(key):
            try:
                outcome = outcomes.read(folder)
            except Rejected as error:
                log.error("outcome_damaged", study=key[:12], reason=str(error))  # noqa: TRY400  it says it all
                continue
            if outcome is not None:
                family.append(outcome)
        relation = related(family)
        for outcome in family:
            if not relation[outcome.key].superseded_by:
                for document in outcome.documents:
                    if document.kind in DICOM_KINDS and not document.problem and document.path.is_file():
                        yield document.path

    def _folders(self, key: str) -> Sequence[Path]:
        """Of every revision of a study, by the index where it can be used: the folder of results may hold 100 000."""
        try:
            if self.worklist.is_whole():
                return sorted(self.settings.results / row.key for row in self.worklist.revisions(key))
        except Retryable as error:
            log.warning("listed_without_index", reason=str(error))
        return outcomes.folders_of(self.settings.results, {key})


def _held(path: Path) -> Held | None:
    try:
        header = read_header(path, READ)
    except UnreadableImage as error:
        # Its message names the file, which is a hash, or a document of ours.
        log.warning("instance_left_out", file=path.name, problem=str(error))
        return None
    held = Held(path, header.dataset, text(header.dataset.file_meta, "TransferSyntaxUID"))
    return held if held.study_uid and held.series_uid and held.sop_uid else None
