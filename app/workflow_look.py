"""Between assembling and routing: what the pictures of a study's radiographs show. Trouble here blocks nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from threading import Event
from typing import Protocol

import structlog

from app.errors import AppError
from app.radiographs import image_name, is_radiograph, is_raw
from app.study import Look, Series, Study, View
from app.workflow_edges import bounded, edge

log = structlog.get_logger()

MOST_PICTURES = 20
"""Of one study: a radiograph study has a few; what is sent with hundreds is something else."""
LONGEST_S = 60.0
"""For one picture, most of it spent on reading; `inference.timeout_s` where that is less."""


class Viewer(Protocol):
    """What looking needs of `app.infer.views.Viewer`, without importing torch."""

    def look(self, series: Series) -> View:
        """Say what the picture of a radiograph shows."""


def look_at(study: Study, viewer: Viewer, timeout_s: float, stopping: Event) -> tuple[Look, ...]:
    """Look at each radiograph of a study; stacks that are no radiographs, raw ones and damaged ones are left alone.

    Raises:
        Stopped: The worker stops.
    """
    wanted = [series for series in study.series if is_radiograph(series) and not is_raw(series) and not series.damaged]
    looks = [_look(series, viewer, min(timeout_s, LONGEST_S), stopping) for series in wanted[:MOST_PICTURES]]
    left = f"the picture was not looked at: the study has more than {MOST_PICTURES} radiographs"
    looks += [
        Look(series.uid, series.stack, None, f"{image_name(series)}: {left}") for series in wanted[MOST_PICTURES:]
    ]
    return tuple(looks)


def with_looks(study: Study, looks: Iterable[Look]) -> Study:
    """The study with what was seen in its series, and the notes of what could not be."""
    by_stack = {(look.series_uid, look.stack): look for look in looks}
    return replace(
        study, series=tuple(_seen(series, by_stack.get((series.uid, series.stack))) for series in study.series)
    )


def notes_of(looks: Sequence[Look]) -> tuple[str, ...]:
    """Why pictures could not be looked at, in words."""
    return tuple(look.note for look in looks if look.note)


def _look(series: Series, viewer: Viewer, timeout_s: float, stopping: Event) -> Look:
    try:
        with edge("looking at a picture"):
            return Look(series.uid, series.stack, bounded(lambda: viewer.look(series), timeout_s, stopping))
    except AppError as error:
        log.warning("picture_not_looked_at", reason=str(error))
        note = f"{image_name(series)}: what the picture shows could not be told: {error}"
        return Look(series.uid, series.stack, None, note)


def _seen(series: Series, look: Look | None) -> Series:
    if look is None:
        return series
    # A stage that is run again after a crash says nothing twice.
    notes = dict.fromkeys((*series.notes, look.note)) if look.note else series.notes
    return replace(series, view=look.view, notes=tuple(notes))
