"""What the picture of a T1-weighted head says of contrast agent, by a measurement; routing asks it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from app.errors import AppError, Failed, Rejected, location
from app.infer.edges import trim
from app.infer.images import size_of
from app.settings import Inference
from app.study import Contrast, Series
from bundles.common.contrast import NO_BRAIN, contrast_of
from bundles.common.enhancement import Floats, NoBrain, Spacing, averaged, bright_places, factors
from bundles.common.geometry import spacing_mm
from bundles.common.reader import UnreadableImage, read_stack

AT_ONCE = 16
"""Slices that are read before they are averaged, so that memory does not grow with the series."""


@dataclass
class ContrastViewer:
    """Looks at one series at a time, whatever thread asks: so that memory stays bounded.

    Attributes:
        settings: The voxel budget.
    """

    settings: Inference
    _one_at_a_time: Lock = field(default_factory=Lock, init=False)

    def look(self, series: Series) -> Contrast:
        """Measure a series; what is no brain is said to be none.

        Raises:
            Rejected: It has no place in space, is too large, or cannot be read.
            Failed: The measurement broke.
        """
        rows, columns = size_of(series)
        if rows * columns * sum(max(each.frames, 1) for each in series.instances) > self.settings.max_voxels:
            raise Rejected(f"its slices of {rows} x {columns} pixels are more than inference.max_voxels allows")
        with self._one_at_a_time:
            try:
                return _contrast_of(series, self.settings.max_voxels)
            except UnreadableImage as error:
                raise Rejected(f"it cannot be read: {error}") from error
            except AppError:
                raise
            except Exception as error:
                raise Failed(f"the measurement broke: {type(error).__name__} at {location(error)}") from error
            finally:
                trim()


def _contrast_of(series: Series, max_voxels: int) -> Contrast:
    spacing = _spacing(series)
    by = factors(spacing)
    coarse = np.concatenate(list(_pieces(series, by, max_voxels)))
    try:
        places = bright_places(coarse, (spacing[0] * by[0], spacing[1] * by[1], spacing[2] * by[2]))
    except NoBrain:
        return Contrast(NO_BRAIN, 0.0)
    return Contrast(contrast_of(places.share, places.middle_share), round(places.share, 4))


def _spacing(series: Series) -> Spacing:
    """Of slices, rows and columns."""
    between = None if series.geometry is None else spacing_mm(series.geometry)
    if series.geometry is None or not between:
        raise Rejected("it is no volume: its images have no places in space, or there is one only")
    rows, columns = series.geometry.pixel_spacing_mm
    return between, rows, columns


def _pieces(series: Series, by: tuple[int, int, int], max_voxels: int) -> Iterator[Floats]:
    """The averaged volume, some slices at a time; a file of many frames at once, as the reader gives it."""
    paths, step = [instance.path for instance in series.instances], by[0] * max(1, AT_ONCE // by[0])
    for start in range(0, len(paths), step):
        yield averaged(read_stack(paths[start : start + step], max_voxels=max_voxels).array, by)
