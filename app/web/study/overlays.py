"""What lies over the slices of a series: boxes of a report, outlines of its segmentations, marks of places in mm.

One way from millimetres to pixels: `bundles.common.masks.grid.SourceGrid`, where every slice keeps its own position.
Drawn coordinates are (column, row) with 0, 0 the upper left corner of the upper left pixel, as in DICOM (PS3.3
C.18.6.1.2) and on a canvas; the centre of that pixel is 0.5, 0.5.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel

from app.contours import outline
from app.documents import Document, DocumentKind
from app.findings import Finding, Lesion, Presence, Region, RegionKind, Report
from app.outcomes import StudyOutcome
from app.slices import SlicePlace
from app.structures import Structure
from app.study import Series
from app.words import percents
from bundles.common.geometry import affine
from bundles.common.headers import UnreadableImage
from bundles.common.masks.grid import NEAR, SourceGrid, UnusableMask
from bundles.common.masks.segmentation import pieces

MOST_POINTS = 400
NO_OUTLINES = "The outlines cannot be drawn: {reason}"

log = structlog.get_logger()


class Mark(BaseModel):
    """Something drawn on one slice.

    Attributes:
        slice: Place in the series, from 0.
        layer: "detection", "attention", "outline" or "centre"; each can be hidden by itself.
        label: To write beside it.
        bundle, finding: Whose it is; the finding is a kind of the code table, or "structures".
        lines: Closed or open lines as flat (column, row, column, row, …).
    """

    slice: int
    layer: str
    label: str
    bundle: str
    finding: str
    lines: list[list[float]]


@dataclass(frozen=True, slots=True)
class Overlays:
    """Everything that is drawn on a series, and what could not be, in words."""

    marks: tuple[Mark, ...]
    problems: tuple[str, ...]


def overlays(outcome: StudyOutcome, series: Series, places: Sequence[SlicePlace]) -> Overlays:
    """Gather what the reports of a revision say of one series.

    Args:
        outcome: The revision.
        series: One of its stacks.
        places: Where its slices lie.
    """
    marks: list[Mark] = []
    problems: list[str] = []
    grid = grid_of(series, places)
    for report in outcome.reports:
        if (series.uid, series.stack) not in report.stacks:
            continue
        marks += _boxes(report, places)
        outlined = _of_segmentations(outcome.documents, report, grid)
        marks += outlined.marks
        problems += outlined.problems
        if grid is not None:
            marks += _centres(report, grid)
    return Overlays(tuple(marks), tuple(problems))


def grid_of(series: Series, places: Sequence[SlicePlace]) -> SourceGrid | None:
    """The voxels of a series; None for images without a place in the patient."""
    if series.geometry is None:
        return None
    thickness = series.headers.get("SliceThickness")
    return SourceGrid(
        geometry=series.geometry,
        affine=affine(series.geometry, float(thickness) if isinstance(thickness, int | float) and thickness else 1.0),
        frame_of_reference=str(series.headers.get("FrameOfReferenceUID", "")),
        series_uid=series.uid,
        source_uids=tuple(place.sop_instance_uid for place in places),
    )


def project(grid: SourceGrid, point_mm: Sequence[float]) -> tuple[int, float, float] | None:
    """Find the slice on which a point of the patient lies, and where on it.

    Args:
        grid: The series.
        point_mm: LPS millimetres.

    Returns:
        Slice from 0, column and row as they are drawn; None where the point lies beyond the series.
    """
    point = np.asarray([point_mm], dtype=np.float64)
    slices, distances = grid.slices_of(point)
    columns, rows = grid.pixels_of(point, slices)
    column, row = float(columns[0]) + 0.5, float(rows[0]) + 0.5
    inside = 0 <= column <= grid.geometry.columns and 0 <= row <= grid.geometry.rows
    return (int(slices[0]), column, row) if inside and distances[0] <= 0.5 + NEAR else None


def slice_of(region: Region, places: Sequence[SlicePlace]) -> int | None:
    """The slice that a region lies on, from 0; None where it is of another series."""
    for index, place in enumerate(places):
        if place.sop_instance_uid == region.sop_instance_uid and place.frame in {None, region.frame}:
            return index
    return None


def _boxes(report: Report, places: Sequence[SlicePlace]) -> Iterator[Mark]:
    for finding in report.findings:
        for region in finding.regions if finding.presence is Presence.PRESENT else ():
            index = slice_of(region, places)
            if index is None:
                continue
            left, upper, right, lower = region.box
            yield Mark(
                slice=index,
                layer=region.kind.value,
                label=_box_label(finding, region),
                bundle=report.algorithm.name,
                finding=finding.kind,
                lines=[[left, upper, right, upper, right, lower, left, lower, left, upper]],
            )


def _box_label(finding: Finding, region: Region) -> str:
    if region.kind is RegionKind.ATTENTION:
        return "the network looked here; no detection"
    name = finding.kind.replace("_", " ")
    if region.certainty is None:
        return name
    return f"{name} {percents(region.certainty, region.certainty, fewest_decimals=1)[0]} %"


def _centres(report: Report, grid: SourceGrid) -> Iterator[Mark]:
    """Where lesions and structures have their middle, which may lie outside of a hollow one."""
    named: list[tuple[str, str, Lesion | Structure]] = [
        (finding.kind, f"middle of lesion {lesion.number}", lesion)
        for finding in report.findings
        for lesion in (finding.lesions if finding.presence is Presence.PRESENT else ())
    ]
    named += [("structures", f"middle of {each.name}", each) for each in report.structures]
    for kind, label, thing in named:
        place = None if thing.centre_mm is None else project(grid, thing.centre_mm)
        if place is None:
            continue
        index, column, row = place
        yield Mark(
            slice=index,
            layer="centre",
            label=label,
            bundle=report.algorithm.name,
            finding=kind,
            lines=[[column, row]],
        )


def _of_segmentations(documents: Sequence[Document], report: Report, grid: SourceGrid | None) -> Overlays:
    marks: list[Mark] = []
    problems: list[str] = []
    of_report = (report.algorithm.name, report.series_uid, report.stack)
    for document in documents:
        if document.kind is not DocumentKind.SEG or (document.bundle, document.series_uid, document.stack) != of_report:
            continue
        if document.problem or grid is None:
            problems.append(NO_OUTLINES.format(reason=document.problem or "the series has no place in the patient"))
            continue
        try:
            marks += _outlines(document.path, report, grid)
        except (UnreadableImage, UnusableMask) as error:
            log.warning("outlines_not_drawn", study=document.path.parent.name[:12], reason=str(error))
            problems.append(NO_OUTLINES.format(reason=str(error)))
    return Overlays(tuple(marks), tuple(problems))


def _outlines(path: Path, report: Report, grid: SourceGrid) -> Iterator[Mark]:
    """Every segment of a segmentation on every slice that shows it, in the order of the slices."""
    columns, rows, _ = grid.shape
    voxels: dict[tuple[int, int], list[NDArray[np.intp]]] = defaultdict(list)
    labels: dict[int, str] = {}
    for number, name, found in pieces(path, grid):
        labels[number] = name
        for index in np.unique(found[:, 2]):
            voxels[int(index), number].append(found[found[:, 2] == index, :2])
    for (index, number), parts in sorted(voxels.items()):
        inside = np.zeros((rows, columns), dtype=np.bool_)
        for part in parts:
            inside[part[:, 1], part[:, 0]] = True
        yield Mark(
            slice=index,
            layer="outline",
            label=labels[number],
            bundle=report.algorithm.name,
            finding=_finding_of(report, labels),
            lines=[line.round(2).ravel().tolist() for line in outline(inside, MOST_POINTS)],
        )


def _finding_of(report: Report, labels: Mapping[int, str]) -> str:
    """Which finding a segmentation outlines: its labels begin with the finding's name; else it is of structures."""
    first = next(iter(labels.values()), "").lower()
    kinds = [finding.kind for finding in report.findings if finding.lesions]
    return next(
        (kind for kind in kinds if first.startswith(kind.replace("_", " "))), kinds[0] if kinds else "structures"
    )
