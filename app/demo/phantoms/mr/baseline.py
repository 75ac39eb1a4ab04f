"""The answer of a rule without learning: the brightest blob well inside the head."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.demo.phantoms.baseline import area_under_curve

_MARGIN_MM = 22.0  # of scalp, skull, and the veins along it
_WIDTHS_MM = (1.2, 2.2, 4.0)


def blob_score(volume: NDArray[Any], spacing_mm: tuple[float, float, float]) -> float:
    """Score a study by its strongest bright blob.

    Args:
        volume: Any order of axes; any scale of values.
        spacing_mm: Distance of neighbours along each axis.

    Returns:
        Largest difference of two Gaussians over three widths, in units of the median signal inside; larger means more
        suspicious. It finds what is small, round and bright: metastases, but vessels seen from the end as well.
    """
    image = volume.astype(np.float32)
    body = ndimage.gaussian_filter(image, [3 / step for step in spacing_mm], truncate=2.0)
    head = ndimage.binary_fill_holes(body > 0.35 * np.percentile(body, 90))
    inside = ndimage.distance_transform_edt(head, spacing_mm) > _MARGIN_MM
    if not inside.any():
        return 0.0
    best = 0.0
    for width in _WIDTHS_MM:
        fine = ndimage.gaussian_filter(image, [width / step for step in spacing_mm], truncate=2.5)
        coarse = ndimage.gaussian_filter(image, [1.8 * width / step for step in spacing_mm], truncate=2.5)
        best = max(best, float((fine - coarse)[inside].max()))
    return best / max(float(np.median(image[inside])), 1e-6)


def baseline_auc(datalist: Path, part: str = "test") -> tuple[float, int]:
    """AUC of `blob_score` for presence over one list of a set, and how many cases it has."""
    lines = json.loads(datalist.read_text())[part]
    scores, labels = [], []
    for line in lines:
        image = nibabel.load(datalist.parent / line["image"])
        steps = np.linalg.norm(image.affine[:3, :3], axis=0)
        scores.append(blob_score(np.asarray(image.dataobj), (float(steps[0]), float(steps[1]), float(steps[2]))))
        labels.append(bool(line["label"]))
    return area_under_curve(np.array(scores), np.array(labels)), len(lines)
