"""The one reader as a MONAI `ImageReader`.

Use: `LoadImaged(keys="image", reader="bundles.common.monai_reader.SeriesReader")`.

MONAI sees the array as (column i, row j, slice k), NIfTI's order, with an `affine` that maps (i, j, k, 1) to RAS mm.
A NIfTI file and a DICOM series of the same stack give the same array and the same affine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple
from torch import Tensor

from bundles.common.geometry import shear, spacing_mm, tilt_deg
from bundles.common.reader import MAX_VOXELS, Stack, UnreadableImage, read_stack
from bundles.common.turning import orientation, turned


@dataclass(frozen=True, slots=True)
class Request:
    """Files still to be read; see `SeriesReader.read`."""

    paths: tuple[Path, ...]


class SeriesReader(ImageReader):  # type: ignore[misc]  # MONAI is untyped
    """Read a DICOM series (folder, or list of files in any order), a NIfTI file or a picture as one image.

    Metadata beside MONAI's own: `source_uids`, `positions_mm` (array, along the normal; the true ones where the spacing
    varies, which no affine can tell), `origins_mm` (slices, 3; LPS), `shear` and `tilt_deg` (of a tilted gantry),
    `slice_spacing_mm` (median, NaN for one slice), `units`, `modality`, `photometric`, `notes`.
    """

    def __init__(self, units: str | None = None, max_voxels: int = MAX_VOXELS, axcodes: str | None = None) -> None:
        """Keep what is wanted.

        Args:
            units: Refuse images in other units, "HU" for a network that was trained on them. NIfTI files are taken at
                their word, because the format has no field for units.
            max_voxels: Refuse larger stacks.
            axcodes: Turn the image into these axes, "RAS", as MONAI's `Orientation` after it would, without a second
                copy of the volume. What is told of single slices keeps the order of the series.
        """
        super().__init__()
        self.target = None if axcodes is None else orientation(axcodes)
        self.units = units
        self.max_voxels = max_voxels

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:  # noqa: ARG002
        """Accept any name: DICOM files have none of their own."""
        return True

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Request:  # noqa: ARG002
        """Keep the paths. `get_data` reads them.

        `LoadImage` answers an error raised here by trying MONAI's other readers, which know neither MONOCHROME1 nor
        geometry; an error of `get_data` reaches the caller.
        """
        return Request(tuple(Path(path) for path in ensure_tuple(data)))

    def get_data(self, img: Request) -> tuple[Tensor, dict[str, Any]]:
        """Read pixels and metadata.

        Returns:
            Tensor (columns, rows, slices) float32, and metadata with `affine` in RAS. Slices lie in memory one after
            the other, as they were read; of an array, `LoadImage` would make a copy in the order of the axes.

        Raises:
            UnreadableImage: As `read_stack` says, or the units are not the wanted ones.
        """
        stack = read_stack(img.paths, max_voxels=self.max_voxels, wanted=self.target)
        if self.units is not None and stack.modality and stack.units != self.units:
            raise UnreadableImage(f"values are in '{stack.units}' units, expected {self.units}")
        told = metadata(stack)
        if self.target is None:
            return torch.from_numpy(stack.array).permute(2, 1, 0), told
        array, told[str(MetaKeys.AFFINE)] = turned(stack.array, stack.affine_ras, self.target)
        told[str(MetaKeys.SPATIAL_SHAPE)] = np.asarray(array.shape)
        return torch.from_numpy(array), told


def metadata(stack: Stack) -> dict[str, Any]:
    """Return what MONAI and a bundle need to know of a stack; picklable, no patient data."""
    slices, rows, columns = stack.array.shape
    geometry = stack.geometry
    spacing = None if geometry is None else spacing_mm(geometry)
    return {
        str(MetaKeys.AFFINE): stack.affine_ras,
        str(MetaKeys.ORIGINAL_AFFINE): stack.affine_ras.copy(),
        str(MetaKeys.SPACE): SpaceKeys.RAS,
        str(MetaKeys.SPATIAL_SHAPE): np.asarray((columns, rows, slices)),
        str(MetaKeys.ORIGINAL_CHANNEL_DIM): float("nan"),
        "source_uids": list(stack.source_uids),
        "positions_mm": np.asarray(stack.positions_mm, dtype=np.float64),
        "origins_mm": np.asarray(() if geometry is None else geometry.origins, dtype=np.float64).reshape(-1, 3),
        "shear": np.asarray((0.0, 0.0) if geometry is None else shear(geometry)),
        "tilt_deg": 0.0 if geometry is None else tilt_deg(geometry),
        "slice_spacing_mm": float("nan") if spacing is None else spacing,
        "units": stack.units,
        "modality": stack.modality,
        "photometric": stack.photometric,
        "notes": list(stack.notes),
    }
