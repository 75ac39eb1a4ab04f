"""The answers of two rules without learning: the brightest blob, and the largest compact bright piece in the head."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.demo.phantoms.baseline import area_under_curve
from app.demo.phantoms.fields import Array

_MARGIN_MM = 20.0  # of scalp, skull, and the veins along it
_COARSE_MM = 3.6
_WIDTHS_MM = (1.2, 2.2, 4.0)
_BRIGHT = 1.22  # times the median inside

Spacing = tuple[float, float, float]


def well_inside(image: Array, spacing_mm: Spacing) -> NDArray[np.bool_]:
    """Where a voxel is at least 20 mm from the nearest air around the head, measured on a coarser grid."""
    steps = [max(1, round(_COARSE_MM / step)) for step in spacing_mm]
    coarse = ndimage.uniform_filter(image[tuple(slice(None, None, step) for step in steps)], 3)
    head = ndimage.binary_fill_holes(coarse > 0.35 * np.percentile(coarse, 90))
    distance = ndimage.distance_transform_edt(head, [a * b for a, b in zip(steps, spacing_mm, strict=True)])
    inside = distance > _MARGIN_MM
    for axis, step in enumerate(steps):
        inside = np.repeat(inside, step, axis=axis)
    return np.asarray(inside[tuple(slice(0, count) for count in image.shape)])


def blob_score(volume: NDArray[Any], spacing_mm: Spacing) -> float:
    """Score a study by its strongest bright blob.

    Args:
        volume: Any order of axes; any scale of values.
        spacing_mm: Distance of neighbours along each axis.

    Returns:
        Largest difference of two Gaussians over three widths, in units of the median signal inside; larger means more
        suspicious. It finds what is small, round and bright: metastases, but vessels seen from the end as well.
    """
    image = volume.astype(np.float32)
    inside = well_inside(image, spacing_mm)
    if not inside.any():
        return 0.0
    best = 0.0
    for width in _WIDTHS_MM:
        fine = ndimage.gaussian_filter(image, [width / step for step in spacing_mm], truncate=2.5)
        coarse = ndimage.gaussian_filter(image, [1.8 * width / step for step in spacing_mm], truncate=2.5)
        best = max(best, float((fine - coarse)[inside].max()))
    return best / max(float(np.median(image[inside])), 1e-6)


def compact_score(volume: NDArray[Any], spacing_mm: Spacing) -> float:
    """Score a study by the volume of its largest compact bright piece, mm³.

    A piece is compact when its longest side is at most 1.6 times its shortest and it fills 30 % of the box around it:
    balls and rings are, vessels of any length are not.

    Args:
        volume: Any order of axes; any scale of values.
        spacing_mm: Distance of neighbours along each axis.
    """
    image = volume.astype(np.float32)
    inside = well_inside(image, spacing_mm)
    if not inside.any():
        return 0.0
    smooth = ndimage.gaussian_filter(image, [0.8 / step for step in spacing_mm], truncate=2.0)
    bright = inside & (smooth > _BRIGHT * float(np.median(image[inside])))
    pieces, _ = ndimage.label(bright, structure=np.ones((3, 3, 3)))
    counts, best = np.bincount(pieces.ravel()), 0.0
    for number, part in enumerate(ndimage.find_objects(pieces), start=1):
        sides = [side.stop - side.start for side in part]
        lengths = [side * step for side, step in zip(sides, spacing_mm, strict=True)]
        round_enough = max(lengths) <= 1.6 * min(lengths) + max(spacing_mm)
        if counts[number] >= 4 and round_enough and counts[number] > 0.3 * np.prod(sides):
            best = max(best, float(counts[number] * np.prod(spacing_mm)))
    return best


@dataclass(frozen=True, slots=True)
class BaselineScores:
    """AUC for presence of both rules."""

    blob: float
    compact: float
    cases: int


def baseline_auc(datalist: Path, part: str = "test") -> BaselineScores:
    """AUC of `blob_score` and of `compact_score` for presence over one list of a set."""
    lines = json.loads(datalist.read_text())[part]
    blobs, pieces, labels = [], [], []
    for line in lines:
        image = nibabel.load(datalist.parent / line["image"])
        steps = [float(step) for step in np.linalg.norm(image.affine[:3, :3], axis=0)]
        volume, spacing = np.asarray(image.dataobj), (steps[0], steps[1], steps[2])
        blobs.append(blob_score(volume, spacing))
        pieces.append(compact_score(volume, spacing))
        labels.append(bool(line["label"]))
    truth = np.array(labels)
    return BaselineScores(
        blob=area_under_curve(np.array(blobs), truth),
        compact=area_under_curve(np.array(pieces), truth),
        cases=len(lines),
    )
