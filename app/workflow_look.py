"""Between assembling and routing: what pictures show, of radiographs and of heads. Trouble here blocks nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from threading import Event
from typing import Protocol

import structlog

from app.errors import AppError
from app.radiographs import image_name, is_radiograph, is_raw
from app.study import Contrast, Look, Series, Study, View
from app.workflow_edges import bounded, edge

log = structlog.get_logger()

MOST_PICTURES = 20
"""Of one study: a radiograph study has a few; what is sent with hundreds is something else."""
MOST_VOLUMES = 6
"""Of one study: the T1 volumes of a head."""
LONGEST_S = 60.0
"""For one picture, most of it spent on reading; `inference.timeout_s` where that is less."""


class Viewer(Protocol):
    """What looking needs of `app.infer.views.Viewer` and `app.infer.enhancement.ContrastViewer`, without torch."""

    def look(self, series: Series) -> View | Contrast:
        """Say what the picture of a series shows."""


def look_at(study: Study, viewer: Viewer, timeout_s: float, stopping: Event) -> tuple[Look, ...]:
    """Look at each radiograph of a study; stacks that are no radiographs, raw ones and damaged ones are left alone.

    Raises:
        Stopped: The worker stops.
    """
    wanted = [series for series in study.series if is_radiograph(series) and not is_raw(series) and not series.damaged]
    looks = [_look(series, viewer, min(timeout_s, LONGEST_S), stopping) for series in wanted[:MOST_PICTURES]]
    return (*looks, *_left(wanted[MOST_PICTURES:], f"{MOST_PICTURES} radiographs"))


def look_for_contrast(
    study: Study, viewer: Viewer, asked: Callable[[Series], bool], timeout_s: float, stopping: Event
) -> tuple[Look, ...]:
    """Look for contrast agent in each volume of a study whose routing asks for it; damaged ones are left alone.

    Raises:
        Stopped: The worker stops.
    """
    volumes = [series for series in study.series if series.geometry is not None and not is_radiograph(series)]
    wanted = [series for series in volumes if not series.damaged and asked(series)]
    looks = [_look(series, viewer, min(timeout_s, LONGEST_S), stopping) for series in wanted[:MOST_VOLUMES]]
    return (*looks, *_left(wanted[MOST_VOLUMES:], f"{MOST_VOLUMES} volumes to look at"))


def _left(series: Sequence[Series], limit: str) -> list[Look]:
    left = f"the picture was not looked at: the study has more than {limit}"
    return [Look(each.uid, each.stack, None, f"{_name(each)}: {left}") for each in series]


def _name(series: Series) -> str:
    """A radiograph as its image, a volume by its number."""
    if is_radiograph(series):
        return image_name(series)
    number = series.headers.get("SeriesNumber")
    return f"series {number}" if isinstance(number, int) else "a series without a number"


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
            return _said(series, bounded(lambda: viewer.look(series), timeout_s, stopping))
    except AppError as error:
        log.warning("picture_not_looked_at", reason=str(error))
        note = f"{_name(series)}: what the picture shows could not be told: {error}"
        return Look(series.uid, series.stack, None, note)


def _said(series: Series, seen: View | Contrast) -> Look:
    if isinstance(seen, View):
        return Look(series.uid, series.stack, seen)
    return Look(series.uid, series.stack, None, contrast=seen)


def _seen(series: Series, look: Look | None) -> Series:
    if look is None:
        return series
    # A stage that is run again after a crash says nothing twice.
    notes = dict.fromkeys((*series.notes, look.note)) if look.note else series.notes
    return replace(series, view=look.view, contrast=look.contrast, notes=tuple(notes))
