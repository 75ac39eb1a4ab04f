"""The voxels of one DICOM series, by headers alone, and the way from points in the patient to voxels.

Every slice keeps its own position: a tilted gantry, uneven spacing and any orientation are exact. Arrays are
(columns i, rows j, slices k), as `bundles.common.monai_reader` gives the series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundles.common.elements import text
from bundles.common.geometry import Matrix, StackGeometry, affine, gaps_mm, positions_mm, slice_normal, to_ras
from bundles.common.headers import FRAME_KEYWORDS, Frame, UnreadableImage, frames_of, read_header
from bundles.common.stacks import FrameStack, stack_frames

Labels = NDArray[np.int32]
Indices = NDArray[np.intp]

NEAR = 0.25
"""How far from a slice, in gaps between slices, and how far from a pixel's centre, in pixels, something may lie that
was drawn on the same grid. Writers round positions to a few decimals; what lies farther away was drawn on another grid
and would have to be resampled."""


class UnusableMask(ValueError):
    """A mask that cannot be brought onto the series. The message names the file and what to do, never the patient."""


@dataclass(frozen=True, slots=True)
class SourceGrid:
    """Where the voxels of a series are.

    Attributes:
        geometry: Of its slices, in their order.
        affine: (4, 4), index (column, row, slice, 1) → LPS mm, as `read_stack` gives it.
        frame_of_reference: Frame of Reference UID; "" where the series has none.
        series_uid: Series Instance UID.
        source_uids: SOP Instance UID of every slice.
    """

    geometry: StackGeometry
    affine: Matrix
    frame_of_reference: str
    series_uid: str
    source_uids: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        return self.geometry.columns, self.geometry.rows, len(self.geometry.origins)

    @property
    def affine_ras(self) -> Matrix:
        """(4, 4), index (column, row, slice, 1) → RAS mm: NIfTI's and MONAI's."""
        return to_ras(self.affine)

    def empty(self) -> Labels:
        """Return an array of zeros for the voxels."""
        return np.zeros(self.shape, dtype=np.int32)

    def slices_of(self, points: Matrix) -> tuple[Indices, Matrix]:
        """Find the nearest slice of every point.

        Args:
            points: (n, 3) LPS millimetres.

        Returns:
            (n,) slice, and (n,) distance to its plane in gaps between slices there: 0 lies in the slice.
        """
        places = positions_mm(self.geometry)
        along = points @ slice_normal(self.geometry)
        right = np.clip(np.searchsorted(places, along), 1, max(len(places) - 1, 1))
        left = right - 1
        if len(places) == 1:
            return np.zeros(len(points), dtype=np.intp), np.abs(along - places[0]) / self._thickness
        gaps = np.abs(gaps_mm(self.geometry))[left]
        nearest = np.where(np.abs(along - places[left]) <= np.abs(places[right] - along), left, right)
        return nearest, np.abs(along - places[nearest]) / gaps

    def pixels_of(self, points: Matrix, slices: Indices) -> tuple[Matrix, Matrix]:
        """Find where points lie within their slices.

        Args:
            points: (n, 3) LPS millimetres.
            slices: (n,) slice of every point.

        Returns:
            (n,) column and (n,) row; whole numbers are the centres of pixels.
        """
        between_rows, between_columns = self.geometry.pixel_spacing_mm
        offsets = points - np.asarray(self.geometry.origins, dtype=np.float64)[slices]
        columns = offsets @ np.asarray(self.geometry.row_direction) / between_columns
        rows = offsets @ np.asarray(self.geometry.column_direction) / between_rows
        return columns, rows

    @property
    def _thickness(self) -> float:
        return float(np.linalg.norm(self.affine[:3, 2]))


def source_grid(paths: Sequence[Path]) -> SourceGrid:
    """Read the headers of a series.

    Args:
        paths: Its files, in any order.

    Raises:
        UnreadableImage: Several series, no place in the patient, or several stacks none of which is the largest.
    """
    headers = {path: read_header(path, (*FRAME_KEYWORDS, "FrameOfReferenceUID")) for path in paths}
    stack = one_stack(stack_frames(frame for header in headers.values() for frame in frames_of(header)))
    geometry, first = stack.geometry, stack.frames[0]
    if geometry is None:
        raise UnreadableImage(f"{first.path.name}: the series has no place in the patient; a mask needs one")
    spaces = {text(headers[frame.path].dataset, "FrameOfReferenceUID") for frame in stack.frames}
    if len(spaces) > 1:
        raise UnreadableImage(f"{first.path.name}: the slices of the series are of {len(spaces)} frames of reference")
    return SourceGrid(
        geometry=geometry,
        affine=affine(geometry, first.thickness_mm or 1.0),
        frame_of_reference=spaces.pop(),
        series_uid=first.series_uid,
        source_uids=tuple(frame.sop_instance_uid for frame in stack.frames),
    )


def one_stack(stacks: Sequence[FrameStack]) -> FrameStack:
    """Choose the stack of one series that `read_stack` would read: the largest, localizers last.

    Raises:
        UnreadableImage: No image, several series, or no largest stack.
    """
    if not stacks:
        raise UnreadableImage("none of the files is an image")
    first, rest = stacks[0], stacks[1:]
    if any(stack.frames[0].series_uid != first.frames[0].series_uid for stack in rest):
        raise UnreadableImage("the files belong to several series; give the files of one")
    if any(len(stack.frames) == len(first.frames) and not _localizer(stack.frames[0]) for stack in rest):
        raise UnreadableImage("the series holds stacks of different orientation or size, none larger than all others")
    return first


def _localizer(frame: Frame) -> bool:
    return frame.localizer
