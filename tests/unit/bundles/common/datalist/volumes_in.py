"""Volumes of a set made in a test: NIfTI files and DICOM series."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from pydicom.dataset import FileDataset

from tests.unit.bundles.common.dicom import ct_stack

AFFINE = np.diag([0.5, -0.8, 5.0, 1.0])
SHAPE = (6, 5, 4)


def nifti(path: Path, values: Any = 0, shape: Sequence[int] = SHAPE, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.broadcast_to(np.asarray(values, np.int16), shape).copy(), affine)
    nibabel.save(image, path)
    return path


def marked(*voxels: Sequence[int], shape: Sequence[int] = SHAPE) -> np.ndarray:
    """Zeros, but for (column, row, slice, value)."""
    values = np.zeros(shape, np.int16)
    for i, j, k, value in voxels:
        values[i, j, k] = value
    return values


def labels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def stack(
    folder: Path, names: Sequence[str], series: str, positions: Sequence[float] | None = None, **changes: Any
) -> list[FileDataset]:
    """A CT series with files of these names, in this order along the patient."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [5 * index for index in range(len(names))] if positions is None else positions
    datasets = ct_stack(places, series=series, **changes)
    for name, dataset in zip(names, datasets, strict=True):
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / name, enforce_file_format=True)
    return datasets
