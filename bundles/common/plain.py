"""Images outside of DICOM: NIfTI volumes, PNG, TIFF and JPEG pictures."""

import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bundles.common.geometry import Matrix, StackGeometry, Vector, plane_of, to_ras
from bundles.common.headers import UnreadableImage

NIFTI_ERRORS = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)
PICTURE_ERRORS = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError)
PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
FORMATS = ("PNG", "TIFF", "JPEG")
"""Pillow tries no other of its decoders, whatever a file's first bytes claim."""
GREY_MODES = {"1", "L", "I", "I;16", "I;16B", "I;16L", "F"}


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A NIfTI volume.

    Attributes:
        array: (slices, rows, columns), float32: the file's axes reversed, its order of slices kept.
        affine: Index (column i, row j, slice k, 1) → LPS mm: the stored matrix with its first two rows negated.
        geometry: Slices along the third axis.
    """

    array: NDArray[np.float32]
    affine: Matrix
    geometry: StackGeometry


def is_nifti(path: Path) -> bool:
    """Tell by the name."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def is_picture(path: Path) -> bool:
    """Tell by the name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def read_nifti(path: Path, max_voxels: int) -> Volume:
    """Read a three-dimensional NIfTI file; NIfTI is RAS, the result LPS.

    Raises:
        UnreadableImage: Not NIfTI, not three-dimensional, too large, truncated, or without a usable matrix.
    """
    image, shape = _open_nifti(path)
    _check_size(path, shape, max_voxels)
    try:
        values = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except NIFTI_ERRORS as error:
        raise UnreadableImage(f"{path.name}: truncated or corrupt NIfTI data") from error
    matrix = to_ras(np.asarray(image.affine, dtype=np.float64))
    return Volume(values.transpose(2, 1, 0), matrix, _geometry(matrix, shape, path))


def read_nifti_grid(path: Path) -> tuple[tuple[int, int, int], Matrix]:
    """Shape (columns, rows, slices) of a NIfTI volume and its affine, index to RAS mm, from the header alone.

    Raises:
        UnreadableImage: Not NIfTI, or not three-dimensional.
    """
    image, shape = _open_nifti(path)
    return shape, np.asarray(image.affine, dtype=np.float64)


def read_picture(path: Path, max_voxels: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Read an 8- or 16-bit PNG or TIFF, or a JPEG, as (rows, columns) float32, stored values.

    Colour becomes luminance, noted. An orientation that a camera wrote beside the pixels is not applied.

    Raises:
        UnreadableImage: Not an image, truncated, or too large.
    """
    try:
        image = open_picture(path)
    except PICTURE_ERRORS as error:
        raise UnreadableImage(f"{path.name}: not a readable picture") from error
    with image:
        check_pages(path, image)
        _check_size(path, (image.height, image.width), max_voxels)
        grey = image.mode in GREY_MODES
        try:
            values = np.asarray(image if grey else image.convert("L"), dtype=np.float32)
        except PICTURE_ERRORS as error:
            raise UnreadableImage(f"{path.name}: truncated or corrupt picture") from error
    return values, () if grey else ("colour picture, turned into luminance",)


def open_picture(path: Path) -> Image.Image:
    """Open a picture, pixels undecoded; raises one of `PICTURE_ERRORS`."""
    return Image.open(path, formats=FORMATS)


def check_pages(path: Path, image: Image.Image) -> None:
    """Refuse a file of several pictures, of which only the first would be seen.

    Raises:
        UnreadableImage: It has more than one.
    """
    pages = int(getattr(image, "n_frames", 1))
    if pages > 1:
        raise UnreadableImage(f"{path.name}: {pages} pages, expected one picture; split it, or store a volume as NIfTI")


def _open_nifti(path: Path) -> tuple[Any, tuple[int, int, int]]:
    try:
        image = nibabel.load(path)
    except NIFTI_ERRORS as error:
        raise UnreadableImage(f"{path.name}: not a readable NIfTI file") from error
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise UnreadableImage(f"{path.name}: NIfTI of shape {image.shape}, expected three dimensions")
    return image, (shape[0], shape[1], shape[2])


def _check_size(path: Path, shape: tuple[int, ...], max_voxels: int) -> None:
    if prod(shape) > max_voxels:
        raise UnreadableImage(f"{path.name}: {shape} is more than the {max_voxels} voxels allowed")


def _geometry(matrix: Matrix, shape: tuple[int, ...], path: Path) -> StackGeometry:
    columns, rows, slices = shape
    spacing = np.linalg.norm(matrix[:3, :2], axis=0)
    if not np.all(np.isfinite(matrix)) or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise UnreadableImage(f"{path.name}: its affine matrix has no volume")
    row, column = matrix[:3, 0] / spacing[0], matrix[:3, 1] / spacing[1]
    origins = matrix[:3, 3] + np.arange(slices)[:, np.newaxis] * matrix[:3, 2]
    return StackGeometry(
        rows=rows,
        columns=columns,
        row_direction=_vector(row),
        column_direction=_vector(column),
        pixel_spacing_mm=(float(spacing[1]), float(spacing[0])),
        origins=tuple(_vector(origin) for origin in origins),
        plane=plane_of(np.cross(row, column)),
    )


def _vector(values: NDArray[np.float64]) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
