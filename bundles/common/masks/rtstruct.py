"""Contours of an RT Structure Set onto the voxels of the series on which they were drawn.

DICOM PS3.3 C.8.8.5 (names of the regions), C.8.8.6 (contours, LPS millimetres). Contours of one region in one slice
are combined by the even-odd rule: CLOSEDPLANAR_XOR asks for it, a keyhole in a CLOSED_PLANAR contour comes out right,
and so do the many files that write a hole as a second CLOSED_PLANAR contour inside the first.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from bundles.common.elements import integer, numbers, text
from bundles.common.geometry import Matrix
from bundles.common.masks.files import items, open_mask
from bundles.common.masks.grid import NEAR, SourceGrid, UnusableMask
from bundles.common.masks.polygons import filled
from bundles.common.masks.regions import Mask, Painting

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
AREAS = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
Wanted = Callable[[str], bool]


def region_names(dataset: Dataset) -> dict[int, str]:
    """Return ROI Name by ROI Number, in the order of the file."""
    return {integer(roi, "ROINumber") or 0: text(roi, "ROIName") for roi in items(dataset, "StructureSetROISequence")}


def names_and_contours(dataset: Dataset) -> bool:
    """Tell whether the two sequences that every structure set has are there and not empty (PS3.3 C.8.8.5, C.8.8.6)."""
    return all(any(items(dataset, keyword)) for keyword in ("StructureSetROISequence", "ROIContourSequence"))


def referenced_series(dataset: Dataset) -> tuple[str, ...]:
    """Return the Series Instance UIDs on which a structure set was drawn."""
    return tuple(
        text(series, "SeriesInstanceUID")
        for space in items(dataset, "ReferencedFrameOfReferenceSequence")
        for study in items(space, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    )


def read_rtstruct(path: Path, grid: SourceGrid, wanted: Wanted = lambda _name: True) -> Mask:
    """Fill the contours of a structure set: a voxel belongs to a region whose outline encloses its centre.

    Args:
        path: The file.
        grid: The series.
        wanted: By ROI Name, which regions; structure sets also hold the skin, eyes and whole brain.

    Raises:
        UnreadableImage: It is no DICOM file.
        UnusableMask: No structure set, of another frame of reference, or contours that lie between the slices, lean
            out of them, or have coordinates that are no numbers.
    """
    dataset = open_mask(path)
    if text(dataset, "SOPClassUID") != RT_STRUCTURE_SET:
        raise UnusableMask(f"{path.name}: no RT Structure Set")
    if not names_and_contours(dataset):
        raise UnusableMask(f"{path.name}: no Structure Set ROI Sequence or no ROI Contour Sequence; was it cut off?")
    names = region_names(dataset)
    spaces = {
        integer(roi, "ROINumber") or 0: text(roi, "ReferencedFrameOfReferenceUID")
        for roi in items(dataset, "StructureSetROISequence")
    }
    painting = Painting(grid)
    contours: dict[int, list[Dataset]] = defaultdict(list)
    for roi in items(dataset, "ROIContourSequence"):
        contours[integer(roi, "ReferencedROINumber") or 0] += items(roi, "ContourSequence")
    for number in sorted(names):
        if not wanted(names[number]):
            continue
        where = f"{path.name}, region {number} '{names[number]}'"
        check_space(spaces[number], grid, where)
        _paint(painting, number, names[number], contours[number], where)
    return painting.done()


def _paint(painting: Painting, number: int, name: str, contours: list[Dataset], where: str) -> None:
    grid, outlines = painting.grid, defaultdict(list)
    passed = Counter[str]()
    for index, contour in enumerate(contours, start=1):
        kind = text(contour, "ContourGeometricType").upper()
        if kind not in AREAS:
            passed[kind or "untyped"] += 1
            continue
        points = _points(contour, f"{where}, contour {index}")
        outlines[_slice_of(points, grid, f"{where}, contour {index}")].append(points)
    columns, rows, _ = grid.shape
    found = []
    for slice_index, several in sorted(outlines.items()):
        flat = [np.stack(grid.pixels_of(points, np.full(len(points), slice_index)), axis=1) for points in several]
        inside = np.argwhere(filled(flat, columns, rows))
        found.append(np.column_stack((inside, np.full(len(inside), slice_index))))
    voxels = np.concatenate(found) if found else np.zeros((0, 3), dtype=np.intp)
    painting.notes += [f"{where}: {count} {kind} contours enclose nothing" for kind, count in sorted(passed.items())]
    if not contours:
        painting.notes.append(f"{where}: it has no contours")
    if outlines and not len(voxels):
        painting.notes.append(f"{where}: its outlines enclose no voxel's centre")
    painting.add(number, name, (voxels[:, 0], voxels[:, 1], voxels[:, 2]))


def _flat(points: Matrix, grid: SourceGrid, slice_index: int) -> Matrix:
    """Return (points, 2), column and row, without the noise of positions written with few decimals.

    Outlines that were made from masks often run through centres of pixels, where noise would decide at random.
    """
    flat = np.stack(grid.pixels_of(points, np.full(len(points), slice_index)), axis=1)
    return np.asarray(flat.round(3), dtype=np.float64)


def _points(contour: Dataset, where: str) -> Matrix:
    values = numbers(contour, "ContourData")
    if len(values) < 9 or len(values) % 3:
        raise UnusableMask(f"{where}: {len(values)} coordinates; an outline has three for each of at least 3 points")
    return np.asarray(values, dtype=np.float64).reshape(-1, 3)


def _slice_of(points: Matrix, grid: SourceGrid, where: str) -> int:
    slices, distances = grid.slices_of(points)
    if slices.min() != slices.max():
        raise UnusableMask(f"{where} leans from slice {slices.min() + 1} to {slices.max() + 1} of the series")
    if distances.max() > NEAR:
        raise UnusableMask(
            f"{where} lies {distances.max():.2f} slices away from slice {slices[0] + 1}; it was drawn on another grid"
        )
    return int(slices[0])


def check_space(frame_of_reference: str, grid: SourceGrid, where: str) -> None:
    """Refuse what was drawn in another frame of reference, or in none.

    Raises:
        UnusableMask: It was.
    """
    if not grid.frame_of_reference or frame_of_reference != grid.frame_of_reference:
        raise UnusableMask(
            f"{where} is of the frame of reference {frame_of_reference or '(none)'}, "
            f"the series of {grid.frame_of_reference or '(none)'}"
        )
