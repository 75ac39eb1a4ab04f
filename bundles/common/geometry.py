"""Where a stack of slices lies in the patient. Headers only; needs numpy, never torch."""

from dataclasses import dataclass
from typing import Literal

Plane = Literal["axial", "coronal", "sagittal"]
Vector = tuple[float, float, float]


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
