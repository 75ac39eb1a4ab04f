"""What the web side tells Prometheus of the installation as a whole: disks, workers, parts, what is not finished."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import structlog
from prometheus_client import Gauge

from app.backlog import Backlog, BacklogReader, age_s
from app.errors import location
from app.settings import Settings
from app.web import metrics
from app.web.health import MEGABYTE, Knock, Pulse, examine

EVERY_S = 10.0

log = structlog.get_logger()


@dataclass
class Figures:
    """Looks at the installation, again and again.

    Attributes:
        settings: Of the installation.
        knock: Asks the listener.
        pulse: Feels the workers.
        reader: Reads what is not finished.
        backlog: What it found last; None before the first look.
    """

    settings: Settings
    knock: Knock
    pulse: Pulse
    reader: BacklogReader
    backlog: Backlog | None = field(default=None, init=False)
    _destinations: set[str] = field(default_factory=set, init=False)

    @classmethod
    def of(cls, settings: Settings, knock: Knock, pulse: Pulse) -> Self:
        """For an installation with these settings."""
        return cls(settings, knock, pulse, BacklogReader(settings.results))

    def __post_init__(self) -> None:
        self._destinations.update(each.name for each in self.settings.destinations)

    def look(self) -> None:
        """One look. What cannot be seen is logged, and `vigil_figures_looked_at_timestamp_seconds` stays behind."""
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  the edge of a background task: the next look may go well
            log.error("figures_not_taken", error=type(error).__name__, at=location(error))  # noqa: TRY400
            return
        metrics.LOOKED_AT.set(time.time())

    def _look(self) -> None:
        for name, part in examine(self.settings, self.knock, self.pulse).parts.items():
            metrics.PART_OK.labels(name).set(int(part.ok))
        metrics.WORKERS_ALIVE.set(len(self.pulse.alive()))
        metrics.SPOOL_MIN_FREE.set(self.settings.spool.min_free_mb * MEGABYTE)
        for name, folder in (("spool", self.settings.spool.folder), ("results", self.settings.results)):
            if folder.is_dir():
                _show_disk(name, folder)
        self.backlog = self.reader.look()
        self._show(self.backlog)

    def _show(self, found: Backlog) -> None:
        self._show_each(metrics.DOCUMENTS_WAITING, found.waiting)
        self._show_each(metrics.COMMITMENTS_OUTSTANDING, found.commitments)
        self._show_each(metrics.DEAD_LETTERS, found.dead_letters)
        ages = {name: age_s(since) for name, since in found.waiting_since.items()}
        self._show_each(metrics.DOCUMENTS_WAITING_OLDEST_SECONDS, ages)
        metrics.DOCUMENTS_NEVER_MADE.set(found.never_made)
        metrics.UNFINISHED.set(found.unfinished)
        metrics.UNFINISHED_OLDEST_SECONDS.set(age_s(found.unread_since))
        metrics.URGENT_WAITING_OLDEST_SECONDS.set(age_s(found.urgent_since))
        metrics.OUTCOMES_DAMAGED.set(found.damaged)

    def _show_each(self, gauge: Gauge, values: Mapping[str, float]) -> None:
        """Every destination that was ever seen, so that what is over goes back to 0."""
        self._destinations |= values.keys()
        for name in self._destinations:
            gauge.labels(name).set(values.get(name, 0))


def _show_disk(name: str, folder: Path) -> None:
    space = os.statvfs(folder)
    metrics.DISK_FREE.labels(name).set(space.f_bavail * space.f_frsize)
    metrics.DISK_SIZE.labels(name).set(space.f_blocks * space.f_frsize)
