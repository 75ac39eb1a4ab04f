"""What is left of a study whose images were removed: which images there were, by their hashes.

One small file a study, `<spool>/pruned/<hash of study UID>`: 16 of the digits that begin the names of its images, one
line each. It stays, so that a late image never passes for the whole study.
"""

import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.receive.folders import sync_folder

DIGITS = 16


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The tombstones of a spool.

    Attributes:
        folder: Must exist.
    """

    folder: Path

    def images(self, key: str) -> frozenset[str]:
        """Which images of a study were removed, in the form of `digits`; none for a study that was never pruned."""
        try:
            return frozenset((self.folder / key).read_text("ascii").split())
        except FileNotFoundError:
            return frozenset()

    def removed_at(self, key: str) -> float | None:
        """Unix time at which images of a study were removed the last time; None for one that was never pruned."""
        try:
            return (self.folder / key).stat().st_mtime
        except FileNotFoundError:
            return None

    def add(self, key: str, names: Iterable[str]) -> None:
        """Note durably that images are about to be removed, beside those that were removed before.

        Args:
            key: Of the study.
            names: Of the files in the spool.

        Raises:
            OSError: The disk is full or broken.
        """
        every = sorted(self.images(key) | digits(names))
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("w", encoding="ascii") as file:
                file.write("\n".join(every) + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self.folder / key)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.folder)


def digits(names: Iterable[str]) -> frozenset[str]:
    """What a tombstone keeps of the names of spooled files: which instances they are, not which versions."""
    return frozenset(name.partition(".")[0][:DIGITS] for name in names)


def removed_in_words(removed: int, left: int) -> str:
    """Said of a study of which images come after others were removed."""
    earlier = "1 earlier image" if removed == 1 else f"{removed} earlier images"
    verb = "was" if removed == 1 else "were"
    came = "the 1 image" if left == 1 else f"the {left} images"
    return (
        f"{earlier} of this study {verb} removed from this service after delivery (retention): "
        f"this is about {came} that came since, not about the whole study"
    )
