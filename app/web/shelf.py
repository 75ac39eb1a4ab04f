"""The bundles on disk as the web side sees them: read again when their files have changed, and only then."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.infer.catalogue import CONTRACT, MANIFEST, METADATA, WEIGHTS, Catalogue
from app.settings import Settings

FILES = (METADATA, CONTRACT, MANIFEST, WEIGHTS)
Stamp = tuple[tuple[str, int, int], ...]


@dataclass
class Shelf:
    """What could be served. Hashing the weights takes seconds, so it is done once for each change of a file.

    Attributes:
        settings: Of the installation.
    """

    settings: Settings
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _found: Catalogue | None = field(default=None, init=False)
    _stamp: Stamp = field(default=(), init=False)

    def catalogue(self) -> Catalogue:
        """The bundles as their files are now."""
        with self._lock:
            stamp = tuple(_stamp(self.settings))
            if self._found is None or stamp != self._stamp:
                self._found, self._stamp = Catalogue.load(self.settings.bundles), stamp
            return self._found


def _stamp(settings: Settings) -> Iterator[tuple[str, int, int]]:
    for folder in (settings.bundles.folder, *settings.bundles.also):
        for root in sorted(folder.iterdir()) if folder.is_dir() else ():
            for name in FILES:
                yield from _of(root / name)


def _of(path: Path) -> Iterator[tuple[str, int, int]]:
    try:
        found = path.stat()
    except OSError:
        return
    yield str(path), found.st_mtime_ns, found.st_size
