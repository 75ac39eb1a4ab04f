"""NIfTI volumes and masks of a data set: what their headers say, labels in, labels out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from bundles.common.datalist.problems import Damaged
from bundles.common.geometry import Matrix
from bundles.common.plain import NIFTI_ERRORS

Labels = NDArray[np.int32]
SAME_MM = 0.01
"""Largest difference of two affines of one grid: headers hold 32-bit numbers, or quaternions made of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Voxels of a NIfTI file.

    Attributes:
        shape: Columns, rows, slices.
        affine: (4, 4), index → RAS mm.
    """

    shape: tuple[int, int, int]
    affine: Matrix

    def same_as(self, other: "Grid") -> bool:
        """Whether both have the same voxels at the same places."""
        return self.shape == other.shape and bool(np.allclose(self.affine, other.affine, rtol=0, atol=SAME_MM))


def grid_of(path: Path) -> Grid:
    """Read the header of a three-dimensional NIfTI file.

    Raises:
        Damaged: It is none, or its affine has no volume.
    """
    return _opened(path)[1]


def read_labels(path: Path, known: Iterable[int] | None = None) -> tuple[Labels, Grid]:
    """Read a mask.

    Args:
        path: NIfTI.
        known: The values that the data set describes; None takes any whole number from 0 on.

    Returns:
        (columns, rows, slices) int32, and where they are.

    Raises:
        Damaged: Not NIfTI, cut off, values that are no whole numbers, or values that nobody described.
    """
    image, grid = _opened(path)
    try:
        values = np.asarray(image.dataobj).reshape(grid.shape)
    except (*NIFTI_ERRORS, MemoryError) as error:
        raise Damaged(f"{path}: truncated or corrupt NIfTI data") from error
    if values.dtype.kind not in "biuf":
        raise Damaged(f"{path}: a mask of {values.dtype}")
    found = np.unique(values)
    if not np.all(np.isfinite(found)) or not np.all(found == np.rint(found)) or found.min() < 0 or found.max() > 65535:
        raise Damaged(f"{path}: the mask has values that are no whole numbers from 0 to 65535")
    unknown = [] if known is None else sorted({int(value) for value in found} - {0, *known})
    if unknown:
        raise Damaged(f"{path}: the mask has the value {unknown[0]}, which the data set does not describe")
    return values.astype(np.int32), grid


def check_pair(image: Path, mask: Path) -> Grid:
    """Return the grid of an image, whose mask must have the same.

    Raises:
        Damaged: It has another, or one of both is no NIfTI file.
    """
    grid, other = grid_of(image), grid_of(mask)
    if grid.shape != other.shape:
        raise Damaged(f"{mask}: {other.shape} voxels, its image {image.name} has {grid.shape}")
    if not grid.same_as(other):
        raise Damaged(f"{mask}: it lies elsewhere than its image {image.name}: their affines differ")
    return grid


def write_volume(path: Path, values: NDArray[np.generic], affine: Matrix) -> Path:
    """Write (columns, rows, slices) as NIfTI; the name appears when the file is whole.

    Args:
        path: Ends in `.nii.gz`.
        values: Labels from 0 to 65535 in the smallest type that holds them, or grey values of 8 or 16 bits.
        affine: Index → RAS mm.
    """
    stored = values.astype(np.uint8 if values.max(initial=0) <= 255 else np.uint16)
    image = nibabel.Nifti1Image(stored, affine)
    image.set_qform(affine, code=0)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    try:
        nibabel.save(image, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path.resolve()


def _opened(path: Path) -> tuple[nibabel.Nifti1Image, Grid]:
    try:
        image = nibabel.load(path)
        shape = tuple(int(side) for side in image.shape)
        affine = np.asarray(image.affine, dtype=np.float64)
    except (*NIFTI_ERRORS, TypeError, AttributeError) as error:
        raise Damaged(f"{path}: not a readable NIfTI file") from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise Damaged(f"{path}: NIfTI of shape {image.shape}, expected three dimensions")
    if affine.shape != (4, 4) or not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise Damaged(f"{path}: its affine matrix has no volume")
    return image, Grid((shape[0], shape[1], shape[2]), affine)
