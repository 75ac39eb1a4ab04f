"""Where a stack of slices lies in the patient. Headers only; needs numpy, never torch.

Points are in DICOM patient coordinates: LPS (x to the patient's left, y to the back, z to the head), millimetres
(DICOM PS3.3 C.7.6.2.1.1). Voxel indices are (column i, row j, slice k), in this order, everywhere an affine appears;
pixel arrays are (slices, rows, columns).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Plane = Literal["axial", "coronal", "sagittal"]
Vector = tuple[float, float, float]
Matrix = NDArray[np.float64]

POSITION_TOLERANCE_MM = 0.01
"""Two positions this near are the same. ImagePositionPatient is a decimal string, usually with 3 to 7 decimals, so its
rounding noise stays below 0.001 mm even for coarse writers; no scanner makes slices 0.01 mm apart."""

ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of two direction cosines of one stack: 0.06 degrees, or 0.25 mm at the rim of a 500 mm image.
Writers with three decimals differ by 5e-4 from themselves; two planned orientations differ by far more."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class StackGeometry:
    """Geometry of one sorted stack, in DICOM patient coordinates (LPS, millimetres).

    Attributes:
        rows, columns: In-plane size of every slice, pixels.
        row_direction: Unit vector along increasing column index (ImageOrientationPatient[0:3]).
        column_direction: Unit vector along increasing row index (ImageOrientationPatient[3:6]).
        pixel_spacing_mm: (between rows, between columns), PixelSpacing (0028,0030).
        origins: ImagePositionPatient of every slice, sorted by its projection on the slice normal.
        plane: The patient plane nearest to the slices.
    """

    rows: int
    columns: int
    row_direction: Vector
    column_direction: Vector
    pixel_spacing_mm: tuple[float, float]
    origins: tuple[Vector, ...]
    plane: Plane


def normal_of(row_direction: Sequence[float], column_direction: Sequence[float]) -> Matrix:
    """Return the unit slice normal: row direction × column direction, shape (3,)."""
    normal = np.cross(np.asarray(row_direction, dtype=np.float64), np.asarray(column_direction, dtype=np.float64))
    return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)


def slice_normal(geometry: StackGeometry) -> Matrix:
    """Return the unit slice normal of a stack in LPS, shape (3,)."""
    return normal_of(geometry.row_direction, geometry.column_direction)


def plane_of(normal: Sequence[float] | Matrix) -> Plane:
    """Name the patient plane nearest to slices with this normal."""
    planes: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
    return planes[int(np.argmax(np.abs(np.asarray(normal))))]


def positions_mm(geometry: StackGeometry) -> Matrix:
    """Return the position of every slice along the slice normal, millimetres, shape (slices,), relative to LPS zero."""
    return np.asarray(np.asarray(geometry.origins, dtype=np.float64) @ slice_normal(geometry), dtype=np.float64)


def gaps_mm(geometry: StackGeometry) -> Matrix:
    """Return the distance of each slice to the next along the normal, millimetres, shape (slices - 1,)."""
    return np.diff(positions_mm(geometry))


def spacing_mm(geometry: StackGeometry) -> float | None:
    """Return the median distance between neighbouring slices in millimetres, None for a single slice."""
    gaps = np.abs(gaps_mm(geometry))
    return float(np.median(gaps)) if gaps.size else None


def extent_mm(geometry: StackGeometry) -> float:
    """Return how much of the body a stack covers along its normal, millimetres; 0 for a single slice.

    From the first to the last slice centre, plus half a gap at either end: slices stand for what lies around them.
    """
    gaps = np.abs(gaps_mm(geometry))
    return float(gaps.sum() + (gaps[0] + gaps[-1]) / 2) if gaps.size else 0.0


def tilt_deg(geometry: StackGeometry) -> float:
    """Return the angle between the slice normal and the direction from the first to the last slice, degrees, 0 to 90.

    A gantry tilt leaves the table's direction and the normal apart by the tilt; a stack without tilt has 0.
    """
    if len(geometry.origins) < 2:
        return 0.0
    direction = np.subtract(geometry.origins[-1], geometry.origins[0])
    along = abs(float(direction @ slice_normal(geometry)))
    across = float(np.linalg.norm(np.cross(direction, slice_normal(geometry))))
    return float(np.degrees(np.arctan2(across, along)))


def affine(geometry: StackGeometry, thickness_mm: float = 1.0) -> Matrix:
    """Map the voxel index (column i, row j, slice k, 1) to the LPS point of that voxel's centre, millimetres.

    The third column is the mean step from slice to slice, so that a tilted stack gets a sheared matrix. It is exact for
    evenly spaced slices; where the spacing varies, both ends are exact and `origins` tells the truth in between.

    Args:
        geometry: The stack.
        thickness_mm: Step along the normal assumed for a single slice, where no neighbour tells one.

    Returns:
        Shape (4, 4), float64.
    """
    origins = np.asarray(geometry.origins, dtype=np.float64)
    between_rows, between_columns = geometry.pixel_spacing_mm
    result = np.eye(4)
    result[:3, 0] = np.asarray(geometry.row_direction) * between_columns
    result[:3, 1] = np.asarray(geometry.column_direction) * between_rows
    if len(origins) > 1:
        result[:3, 2] = (origins[-1] - origins[0]) / (len(origins) - 1)
    else:
        result[:3, 2] = slice_normal(geometry) * thickness_mm
    result[:3, 3] = origins[0]
    return result


def to_ras(matrix: Matrix) -> Matrix:
    """Turn an index-to-LPS matrix into index-to-RAS (NIfTI, MONAI), or back: it is its own inverse."""
    return np.asarray(LPS_TO_RAS @ matrix, dtype=np.float64)


def shear(geometry: StackGeometry) -> tuple[float, float]:
    """Return how far one millimetre along the normal moves a slice in plane: (along the rows, along the columns).

    (0, 0) for a stack without tilt; the GE head CT with 18.5 degrees has about (0, -0.33) or its opposite.
    """
    step = affine(geometry)[:3, 2]
    along = float(step @ slice_normal(geometry))
    if abs(along) < POSITION_TOLERANCE_MM:
        return 0.0, 0.0
    return (
        float(step @ np.asarray(geometry.row_direction)) / along,
        float(step @ np.asarray(geometry.column_direction)) / along,
    )


def point(geometry: StackGeometry, slice_index: int, row: float, column: float) -> Vector:
    """Return the LPS point in millimetres of a pixel's centre, from the slice's own position: exact for any spacing."""
    between_rows, between_columns = geometry.pixel_spacing_mm
    place = (
        np.asarray(geometry.origins[slice_index])
        + np.asarray(geometry.row_direction) * between_columns * column
        + np.asarray(geometry.column_direction) * between_rows * row
    )
    return float(place[0]), float(place[1]), float(place[2])
