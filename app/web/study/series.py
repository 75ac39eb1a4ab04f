"""One series as its viewer needs it: size, place in the patient, certainties of its slices, what is drawn on them."""

import math
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from app.findings import Finding, Presence, Report
from app.outcomes import StudyOutcome
from app.radiographs import is_radiograph
from app.slices import SlicePlace
from app.study import Header, Series
from app.web.study.heat import HeatMap
from app.web.study.overlays import Mark, Overlays
from bundles.common.geometry import Vector, positions_mm, spacing_mm

LEAST_PART: Final = 0.2
"""Of a unit vector, from which on a direction is worth a letter: 11.5 degrees off the plane."""
OPPOSITE: Final = str.maketrans("LRAPHF", "RLPAFH")


class Scores(BaseModel):
    """How certain one finding is on each slice.

    Attributes:
        bundle, finding: Whose.
        presence: The answer for the whole.
        threshold: That gave it; null where undetermined.
        values: One for each slice, 0 to 1; null where it was not scored.
        top: The most certain slice, from 0; null where none was scored.
    """

    bundle: str
    finding: str
    presence: str
    threshold: float | None
    values: list[float | None]
    top: int | None


class SeriesView(BaseModel):
    """One series.

    Attributes:
        number: Its place in the study, from 0.
        name: For people.
        modality: As sent.
        rows, columns, slices: How large it is.
        spacing_mm: Between rows, between columns; null where nobody knows.
        at_detector: Whether that spacing is the detector's, where what is shown is larger than the patient.
        between_mm: From slice to slice, the median; null for a single one.
        positions_mm: Of every slice along the normal; empty without a place in the patient.
        edges: Patient directions at the left, right, top and bottom edge of the image; null where nobody knows.
        window: Centre and width as the images say, in the reader's values; null where they do not.
        start: The slice to open, from 0.
        scores: Of findings that are scored by slice, the main one first.
        marks: What is drawn.
        heats: Where networks looked, in the images in which they called a finding present.
        problems: What could not be drawn or read, in words.
        sources: SOP Instance UID and frame, from 1, of every slice.
    """

    number: int
    name: str
    modality: str
    rows: int
    columns: int
    slices: int
    spacing_mm: tuple[float, float] | None
    at_detector: bool
    between_mm: float | None
    positions_mm: list[float]
    edges: dict[str, str] | None
    window: tuple[float, float] | None
    start: int
    scores: list[Scores]
    marks: list[Mark]
    heats: list[HeatMap]
    problems: list[str]
    sources: list[tuple[str, int]]


def view_of(
    number: int,
    outcome: StudyOutcome,
    series: Series,
    places: Sequence[SlicePlace],
    drawn: Overlays,
    *,
    heats: Sequence[HeatMap] = (),
) -> SeriesView:
    """Everything that the viewer of a series needs but its pixels.

    Args:
        number: Place of the series in the study.
        outcome: The revision.
        series: The series.
        places: Where its slices lie.
        drawn: On it.
        heats: Of it.
    """
    scores = _scores(outcome, series, places)
    geometry = series.geometry
    spacing, at_detector = _spacing(series)
    return SeriesView(
        number=number,
        name=name_of(series),
        modality=series.modality,
        rows=_whole(series.headers.get("Rows")) if geometry is None else geometry.rows,
        columns=_whole(series.headers.get("Columns")) if geometry is None else geometry.columns,
        slices=len(places),
        spacing_mm=spacing,
        at_detector=at_detector,
        between_mm=None if geometry is None else spacing_mm(geometry),
        positions_mm=[] if geometry is None else [round(float(each), 3) for each in positions_mm(geometry)],
        edges=edges_of(series),
        window=window_of(series),
        start=_start(outcome, scores, drawn.marks, len(places)),
        scores=scores,
        marks=list(drawn.marks),
        heats=list(heats),
        problems=[*series.damaged, *drawn.problems],
        sources=[(place.sop_instance_uid, place.index + 1) for place in places],
    )


def name_of(series: Series) -> str:
    """A series for people: "Series 3, T1 MPRAGE"."""
    number = series.headers.get("SeriesNumber")
    words = f"Series {number}" if isinstance(number, int) else "Series without a number"
    if series.stack and not is_radiograph(series):
        words += f", stack {series.stack + 1}"
    described = str(series.headers.get("SeriesDescription", "")).strip()
    return f"{words}, {described}" if described else words


def edges_of(series: Series) -> dict[str, str] | None:
    """Which way each edge of the image points, as letters (PS3.3 C.7.6.1.1.1); None where nobody knows."""
    if series.geometry is not None:
        right, bottom = letters(series.geometry.row_direction), letters(series.geometry.column_direction)
    else:
        said = series.headers.get("PatientOrientation")
        parts = tuple(str(part).strip().upper() for part in said) if isinstance(said, tuple) else ()
        if len(parts) != 2 or not all(part and set(part) <= set("LRAPHF") for part in parts):
            return None
        right, bottom = parts
    return {
        "left": right.translate(OPPOSITE),
        "right": right,
        "top": bottom.translate(OPPOSITE),
        "bottom": bottom,
    }


def letters(direction: Vector) -> str:
    """Name a direction of the patient (LPS): "L", or "LA" for one in between, the strongest part first."""
    names = (("L", "R"), ("P", "A"), ("H", "F"))
    parts = sorted(
        ((abs(value), pair[value < 0]) for value, pair in zip(direction, names, strict=True)), key=lambda each: -each[0]
    )
    return "".join(letter for size, letter in parts if size >= LEAST_PART)


def window_of(series: Series) -> tuple[float, float] | None:
    """Centre and width of the first window that the images bring along (PS3.3 C.11.2.1.2)."""
    centre, width = (_first(series.headers.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not math.isfinite(centre) or not math.isfinite(width) or width < 1:
        return None
    return centre, width


def _scores(outcome: StudyOutcome, series: Series, places: Sequence[SlicePlace]) -> list[Scores]:
    found = []
    for report in outcome.reports:
        if (series.uid, series.stack) in report.stacks:
            found += [_of(report, finding, places) for finding in report.findings if finding.slices]
    return [each for each in found if each.top is not None]


def _of(report: Report, finding: Finding, places: Sequence[SlicePlace]) -> Scores:
    values: list[float | None] = [None] * len(places)
    by_uid = {place.sop_instance_uid: index for index, place in enumerate(places)}
    single = len(by_uid) == len(places)
    for score in finding.slices:
        # Of images that were read each by itself, the index counts images of the study and not slices of the series.
        index = by_uid.get(score.sop_instance_uid) if single else score.index
        if index is not None and 0 <= index < len(places) and score.sop_instance_uid in by_uid:
            values[index] = score.certainty
    scored = [index for index, value in enumerate(values) if value is not None]
    return Scores(
        bundle=report.algorithm.name,
        finding=finding.kind,
        presence=finding.presence.value,
        threshold=finding.threshold,
        values=values,
        top=max(scored, key=lambda index: values[index] or 0.0, default=None),
    )


def _start(outcome: StudyOutcome, scores: Sequence[Scores], marks: Sequence[Mark], slices: int) -> int:
    """The most certain slice of what is present; else where something is drawn; else of what was sought; the middle."""
    present = next((each.top for each in scores if each.presence == Presence.PRESENT and each.top is not None), None)
    if present is not None:
        return present
    lesions = [
        (lesion.certainty or 0.0, lesion.index)
        for report in outcome.reports
        for finding in report.findings
        if finding.presence is Presence.PRESENT
        for lesion in finding.lesions
        if lesion.index < slices
    ]
    drawn = {mark.slice for mark in marks}
    shown = [place for place in sorted(lesions, reverse=True) if place[1] in drawn]
    if shown:
        return shown[0][1]
    if drawn:
        return min(drawn)
    return next((each.top for each in scores if each.top is not None), slices // 2)


def _spacing(series: Series) -> tuple[tuple[float, float] | None, bool]:
    if series.geometry is not None:
        return series.geometry.pixel_spacing_mm, False
    for keyword, at_detector in (("PixelSpacing", False), ("ImagerPixelSpacing", True)):
        said = series.headers.get(keyword)
        if isinstance(said, tuple) and len(said) == 2 and all(isinstance(each, float) and each > 0 for each in said):
            return (float(said[0]), float(said[1])), at_detector
    return None, False


def _first(value: Header | None) -> float | None:
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, int | float) else None


def _whole(value: Header | None) -> int:
    return value if isinstance(value, int) else 0
