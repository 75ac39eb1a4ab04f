"""Masks on their way from a network to the documents: one file for each report, in the study's folder of results.

They are never part of a `Report`, which the workflow database and `outcome.json` hold.
"""

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import Failed
from app.findings import Report

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class LabelVolume:
    """The mask of one finding on the grid of its source series, without the empty space around it.

    Attributes:
        labels: (slices, rows, columns) of the box that holds everything: 0 background, n the lesion n.
        start: Place of its first voxel in the whole volume: slice, row, column.
        shape: Of the whole volume: slices, rows, columns.
    """

    labels: Labels
    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    def whole(self) -> Labels:
        """The mask of the whole volume, (slices, rows, columns)."""
        volume: Labels = np.zeros(self.shape, np.uint8)
        volume[tuple(slice(at, at + size) for at, size in zip(self.start, self.labels.shape, strict=True))] = (
            self.labels
        )
        return volume

    def slice_at(self, index: int) -> Labels:
        """The mask of one slice, (rows, columns)."""
        plane: Labels = np.zeros(self.shape[1:], np.uint8)
        inside = index - self.start[0]
        if 0 <= inside < len(self.labels):
            _, row, column = self.start
            plane[row : row + self.labels.shape[1], column : column + self.labels.shape[2]] = self.labels[inside]
        return plane


def mask_file(folder: Path, bundle: str, series_uid: str, stack: int) -> Path:
    """Where the masks of one report lie in the folder of results of its study."""
    name = sha256(f"{len(bundle)}:{bundle}{series_uid}:{stack}".encode()).hexdigest()[:16]
    return folder / f".masks-{name}.npz"


def mask_files(folder: Path, report: Report) -> tuple[Path, ...]:
    """What lies there of the masks of a report, also what was left half-written."""
    path = mask_file(folder, report.algorithm.name, report.series_uid, report.stack)
    return tuple(folder.glob(f"{path.name}*"))


def keep(path: Path, volumes: Mapping[str, LabelVolume]) -> None:
    """Write the masks of a report, by the kind of finding, durably and in full or not at all.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.generic]] = {}
    for kind, volume in volumes.items():
        arrays[f"{kind}.labels"] = volume.labels
        arrays[f"{kind}.place"] = np.array([volume.start, volume.shape], dtype=np.int64)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's stub mixes arrays with its flag
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def masks_of(folder: Path, report: Report, kind: str) -> LabelVolume:
    """Read the mask of one finding of a report.

    Args:
        folder: Of the results of the study.
        report: Of the analysis that made it.
        kind: Of the finding.

    Raises:
        Failed: It is not there, or damaged.
    """
    path = mask_file(folder, report.algorithm.name, report.series_uid, report.stack)
    try:
        with np.load(path, allow_pickle=False) as stored:
            labels, place = stored[f"{kind}.labels"], stored[f"{kind}.place"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Failed("the mask of the analysis is missing or damaged; send the study again") from error
    start, shape = (tuple(int(value) for value in row) for row in place)
    return LabelVolume(labels, (start[0], start[1], start[2]), (shape[0], shape[1], shape[2]))
