"""A DICOM Segmentation onto the voxels of the series on which it was drawn.

DICOM PS3.3 C.8.20. Frames are placed by their own position, orientation and pixel spacing, not by their order or by
the images that they name: frames of another orientation or direction come out right as long as their pixels fall on
voxels of the series.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from bundles.common.elements import PARSE_ERRORS, integer, item, text, value_of
from bundles.common.geometry import Matrix
from bundles.common.headers import Frame, Header, UnreadableImage, frames_of
from bundles.common.masks.files import items, open_mask
from bundles.common.masks.grid import NEAR, Indices, SourceGrid, UnusableMask
from bundles.common.masks.regions import Mask, Painting
from bundles.common.masks.rtstruct import Wanted, check_space

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
HALF = 0.5
"""Share of the maximum from which a voxel of a FRACTIONAL segment belongs to it."""


def segment_names(dataset: Dataset) -> dict[int, str]:
    """Return Segment Label by Segment Number, in the order of the file."""
    return {
        integer(segment, "SegmentNumber") or 0: text(segment, "SegmentLabel")
        for segment in items(dataset, "SegmentSequence")
    }


def referenced_series(dataset: Dataset) -> tuple[str, ...]:
    """Return the Series Instance UIDs on which a segmentation was drawn."""
    return tuple(text(series, "SeriesInstanceUID") for series in items(dataset, "ReferencedSeriesSequence"))


def read_segmentation(path: Path, grid: SourceGrid, wanted: Wanted = lambda _name: True) -> Mask:
    """Read the segments of a BINARY, FRACTIONAL (from one half on) or LABELMAP segmentation.

    Args:
        path: The file.
        grid: The series.
        wanted: By Segment Label, which segments.

    Raises:
        UnreadableImage: It is no DICOM file, or its pixels cannot be decoded.
        UnusableMask: No segmentation, of another frame of reference, or pixels that fall between the voxels of the
            series or outside of it.
    """
    dataset = open_mask(path)
    names = segment_names(dataset)
    found: dict[int, list[NDArray[np.intp]]] = {number: [] for number in names if wanted(names[number])}
    for number, voxels in _pieces(dataset, path, grid):
        if number in found:
            found[number].append(voxels)
    painting = Painting(grid)
    for number, parts in sorted(found.items()):
        voxels = np.unique(np.concatenate(parts), axis=0) if parts else np.zeros((0, 3), dtype=np.intp)
        painting.add(number, names[number], (voxels[:, 0], voxels[:, 1], voxels[:, 2]))
    return painting.done()


def pieces(path: Path, grid: SourceGrid) -> Iterator[tuple[int, str, NDArray[np.intp]]]:
    """Go through a segmentation frame by frame, without an array for the whole series.

    Yields:
        Segment Number, Segment Label, and (n, 3) column, row and slice of what one frame marks, n at least 1.

    Raises:
        UnreadableImage, UnusableMask: As `read_segmentation`.
    """
    dataset = open_mask(path)
    names = segment_names(dataset)
    for number, voxels in _pieces(dataset, path, grid):
        yield number, names[number], voxels


def _pieces(dataset: Dataset, path: Path, grid: SourceGrid) -> Iterator[tuple[int, NDArray[np.intp]]]:
    if text(dataset, "SOPClassUID") not in {SEGMENTATION, LABEL_MAP}:
        raise UnusableMask(f"{path.name}: no DICOM Segmentation")
    check_space(text(dataset, "FrameOfReferenceUID"), grid, path.name)
    names = segment_names(dataset)
    for frame, pixels in _frames(dataset, path):
        for number, inside in _segments(dataset, frame.index, pixels, path):
            if number not in names:
                raise UnusableMask(f"{path.name}, frame {frame.index + 1}: segment {number} is not described")
            if inside.any():
                yield number, _voxels(frame, inside, grid, path)


def _frames(dataset: Dataset, path: Path) -> Iterator[tuple[Frame, NDArray[np.generic]]]:
    """Give every frame with its pixels, one at a time."""
    frames = frames_of(Header(path, dataset))  # type: ignore[arg-type]
    unplaced = next((frame.index + 1 for frame in frames if not frame.located), None)
    if unplaced is not None:
        raise UnusableMask(f"{path.name}, frame {unplaced}: no position, orientation or pixel spacing")
    try:
        yield from zip(frames, iter_pixels(dataset, raw=True), strict=True)
    except (*PARSE_ERRORS, RuntimeError) as error:
        raise UnreadableImage(f"{path.name}: truncated or corrupt pixel data") from error


def _segments(
    dataset: Dataset, index: int, pixels: NDArray[np.generic], path: Path
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Give the numbers of the segments in a frame, and which pixels are theirs: (rows, columns)."""
    if text(dataset, "SOPClassUID") == LABEL_MAP or text(dataset, "SegmentationType") == "LABELMAP":
        background = integer(dataset, "PixelPaddingValue") or 0
        for value in np.unique(pixels):
            if int(value) != background:
                yield int(value), pixels == value
        return
    number = _segment_number(dataset, index)
    if number is None:
        raise UnusableMask(f"{path.name}, frame {index + 1}: it names no segment")
    kind = text(dataset, "SegmentationType")
    if kind == "BINARY":
        yield number, pixels.astype(np.bool_)
    elif kind == "FRACTIONAL":
        most = integer(dataset, "MaximumFractionalValue") or 0
        if most < 1:
            raise UnusableMask(f"{path.name}: MaximumFractionalValue is missing")
        yield number, pixels.astype(np.float64) >= HALF * most
    else:
        raise UnusableMask(f"{path.name}: SegmentationType '{kind}', expected BINARY, FRACTIONAL or LABELMAP")


def _segment_number(dataset: Dataset, index: int) -> int | None:
    own = item(dataset, "PerFrameFunctionalGroupsSequence", index)
    shared = item(dataset, "SharedFunctionalGroupsSequence", 0)
    for group in (own, shared):
        named = item(group, "SegmentIdentificationSequence", 0)
        if named is not None and value_of(named, "ReferencedSegmentNumber") is not None:
            return integer(named, "ReferencedSegmentNumber")
    return None


def _voxels(frame: Frame, inside: NDArray[np.bool_], grid: SourceGrid, path: Path) -> NDArray[np.intp]:
    """Return (n, 3): column, row and slice of the voxels on which the pixels of a frame lie."""
    points = _points(frame, np.argwhere(inside))
    slices, distances = grid.slices_of(points)
    columns, rows = grid.pixels_of(points, slices)
    whole = np.column_stack((np.rint(columns), np.rint(rows), slices)).astype(np.intp)
    off = max(np.abs(columns - whole[:, 0]).max(), np.abs(rows - whole[:, 1]).max(), distances.max())
    outside = (whole < 0).any(axis=1) | (whole >= np.asarray(grid.shape)).any(axis=1)
    where = f"{path.name}, frame {frame.index + 1}"
    if off > NEAR:
        raise UnusableMask(f"{where}: pixels lie {off:.2f} voxels away from those of the series; resample it first")
    if outside.any():
        raise UnusableMask(f"{where}: {int(outside.sum())} marked pixels lie outside of the series")
    return whole


def _points(frame: Frame, places: Indices) -> Matrix:
    """Return (n, 3) LPS mm of pixels (row, column) of a located frame."""
    orientation, spacing = np.asarray(frame.orientation), np.asarray(frame.pixel_spacing_mm)
    across = places[:, 1:] * spacing[1] * orientation[:3]
    down = places[:, :1] * spacing[0] * orientation[3:]
    return np.asarray(np.asarray(frame.origin) + across + down, dtype=np.float64)
