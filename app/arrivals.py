"""Studies that have been received and that no worker has begun: seen from their first image on, whatever workers do.

The spool alone knows of them (`Spool.arrivals`); nothing is written for them. Here each is told as the value that every
other study is told as, under a key of its own, which is over as soon as a worker has begun the study.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app import outcomes
from app.assemble import assemble, choose_copies
from app.outcomes import KEY, StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from app.study import Study, revision_of, uid_hash
from bundles.common.elements import text
from bundles.common.headers import UnreadableImage, read_header

REVISION: Final = b"arriving".hex()
"""In the place of a revision, which is a hash of all images of a study: they are not all known yet."""
STUDY_LENGTH: Final = 32
MOST_TRIED: Final = 3


def key_of(study: str) -> str:
    """Key under which a study is told that has not been begun.

    Args:
        study: Hash of its UID.
    """
    return f"{study}-{REVISION}"


def is_arrival(key: str) -> bool:
    """Whether a key is one of `key_of`."""
    return key.endswith(f"-{REVISION}")


@dataclass
class Arrivals:
    """What has come to an installation and was not begun.

    Attributes:
        settings: Of the installation.
    """

    settings: Settings
    _spool: Spool | None = field(default=None, init=False)

    def marked(self) -> Mapping[str, int]:
        """Studies of which something new came, by the hash of their UID: when the last image did, nanoseconds.

        One look at a folder, without opening a file.
        """
        found = {}
        with suppress(FileNotFoundError), os.scandir(self.settings.spool.folder / "active") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # a worker has settled it
                    found[entry.name] = entry.stat().st_mtime_ns
        return {study: at for study, at in found.items() if len(study) == STUDY_LENGTH}

    def spooled(self) -> Mapping[str, int]:
        """Every study in the spool, by the hash of its UID: when its folder last changed, nanoseconds."""
        found = {}
        with suppress(FileNotFoundError), os.scandir(self.settings.spool.folder / "studies") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found[entry.name] = entry.stat().st_mtime_ns
        return {study: at for study, at in found.items() if len(study) == STUDY_LENGTH}

    def outcome(self, study: str) -> StudyOutcome | None:
        """What has come of a study, as a revision that was received; None where there are no images of it.

        Args:
            study: Hash of its UID.
        """
        spool = self._open_spool()
        files = () if spool is None else choose_copies(spool.versions(study)).files
        if spool is None or not files:
            return None
        try:
            received = max(self.marked_at(study) or 0.0, *(file.stat().st_mtime for file in files))
        except FileNotFoundError:
            return None  # pruned, or replaced by other files, at this moment: the next look tells
        return StudyOutcome(
            key_of(study),
            received_at=received,
            files=tuple(file.name for file in files),
            study_uid=_uid(files[:MOST_TRIED], study),
            interrupted=spool.interrupted(study),
        )

    def marked_at(self, study: str) -> float | None:
        """Unix time of the last image of a study that was not begun since; None for any other."""
        try:
            return (self.settings.spool.folder / "active" / study).stat().st_mtime
        except FileNotFoundError:
            return None

    def find(self, key_or_uid: str) -> StudyOutcome | None:
        """A revision as `app.outcomes.study` finds it; else what has come of the study that nobody has begun.

        The key of an arrival leads to the newest revision once there is one and nothing further has come.

        Raises:
            Rejected: Its outcome is damaged.
        """
        study = key_or_uid.partition("-")[0]
        if KEY.fullmatch(key_or_uid) and is_arrival(key_or_uid):
            waiting = self.marked_at(study) is not None
            return (
                (self.outcome(study) if waiting else None)
                or outcomes.study(self.settings, study)
                or self.outcome(study)
            )
        found = outcomes.study(self.settings, key_or_uid)
        if found is not None or KEY.fullmatch(key_or_uid):
            return found
        named = len(study) == STUDY_LENGTH and study.isalnum()
        return (self.outcome(study) if named else None) or self.outcome(uid_hash(key_or_uid))

    def study(self, outcome: StudyOutcome) -> Study:
        """The study as far as it has come, of an outcome that `outcome` gave. Headers only.

        Raises:
            AppError: Nothing can be made of its files.
        """
        folder = self.settings.spool.folder / "studies" / outcome.key.partition("-")[0]
        return assemble([folder / name for name in outcome.files], interrupted=outcome.interrupted)

    def _open_spool(self) -> Spool | None:
        """The spool; None where no image has ever come."""
        if self._spool is None and (self.settings.spool.folder / "studies").is_dir():
            self._spool = Spool(self.settings.spool.folder, self.settings.spool.min_free_mb)
        return self._spool


def _uid(files: Iterable[Path], study: str) -> str:
    """StudyInstanceUID by the first header that can be read; "" where none tells it."""
    for file in files:
        with suppress(UnreadableImage):
            uid = text(read_header(file, ["StudyInstanceUID"]).dataset, "StudyInstanceUID")
            if uid_hash(uid) == study:
                return uid
    return ""


def begun_as(outcome: StudyOutcome) -> frozenset[str]:
    """Keys of the revisions that stand for what has come; where one of them is known, the study was begun."""
    files = [Path(name) for name in outcome.files]
    study = outcome.key.partition("-")[0]
    whole = f"{study}-{revision_of(files)}"
    return frozenset({whole, f"{study}-{revision_of(files, interrupted=True)}"} if outcome.interrupted else {whole})
