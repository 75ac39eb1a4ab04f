"""What is known about an MR phantom, in the geometry in which it was acquired."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from app.demo.phantoms.mr.metastases import Metastasis
from app.demo.phantoms.mr.scan import Scan


@dataclass(frozen=True, slots=True)
class LesionTruth:
    """One metastasis, as it was drawn and as it is in the mask.

    Attributes:
        number: Its value in the mask.
        kind: solid or ring.
        diameter_mm: Of the ball that was drawn.
        voxels: In the mask.
        volume_mm3: Of these voxels.
        longest_diameter_mm: Largest distance between the middles of two of them.
        centre_mm: Mean of their middles, LPS.
        middle_slice: Index of the slice that holds the most of them.
    """

    number: int
    kind: str
    diameter_mm: float
    voxels: int
    volume_mm3: float
    longest_diameter_mm: float
    centre_mm: tuple[float, float, float]
    middle_slice: int


def longest_distance(points: NDArray[np.float64]) -> float:
    """Largest distance between two of the points (n, 3); 0 for a single one."""
    if len(points) > 50:
        # All in one plane: the pairs of all of them are few enough.
        with suppress(QhullError):
            points = points[ConvexHull(points).vertices]
    return float(pdist(points).max()) if len(points) > 1 else 0.0


def truth_of(mask: NDArray[np.uint8], metastases: tuple[Metastasis, ...], scan: Scan) -> tuple[LesionTruth, ...]:
    """Measure every lesion of a mask (slices, rows, columns); those outside the field of view are left out."""
    affine = scan.affine_lps
    found = []
    for number, part in enumerate(ndimage.find_objects(mask, max_label=len(metastases)), start=1):
        if part is None:
            continue
        index = np.argwhere(mask[part] == number) + [piece.start for piece in part]
        points = index @ affine[:3, :3].T + affine[:3, 3]
        center = points.mean(axis=0)
        one = metastases[number - 1]
        found.append(
            LesionTruth(
                number=number,
                kind=one.kind,
                diameter_mm=round(one.diameter_mm, 3),
                voxels=len(index),
                volume_mm3=round(len(index) * float(scan.spacing_mm.prod()), 3),
                longest_diameter_mm=round(longest_distance(points), 3),
                centre_mm=(round(float(center[0]), 3), round(float(center[1]), 3), round(float(center[2]), 3)),
                middle_slice=int(np.bincount(index[:, 0]).argmax()),
            )
        )
    return tuple(found)
