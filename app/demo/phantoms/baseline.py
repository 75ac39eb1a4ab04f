"""The answer of a rule without learning: how many voxels in the skull are as bright as blood."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BONE_HU = 250
BLOOD_HU = (55, 95)


def intracranial(volume_hu: NDArray[np.int16], pixel_mm: float, margin_mm: float = 4.0) -> NDArray[np.bool_]:
    """What bone encloses in each slice, without a margin along the bone, (slices, rows, columns)."""
    inside = np.zeros(volume_hu.shape, dtype=bool)
    steps = max(1, round(margin_mm / pixel_mm))
    for index, image in enumerate(volume_hu):
        bone = image > BONE_HU
        filled = ndimage.binary_fill_holes(bone) & ~bone & (image > -50)
        inside[index] = ndimage.binary_erosion(filled, iterations=steps)
    return inside


def threshold_baseline(volume_hu: NDArray[np.int16], pixel_mm: float, slice_mm: float, smooth_mm: float = 1.0) -> float:
    """Score a study by the volume of voxels with the density of fresh blood inside the skull.

    Args:
        volume_hu: (slices, rows, columns), Hounsfield units.
        pixel_mm: Edge length of a pixel.
        slice_mm: Distance between slices.
        smooth_mm: Standard deviation of the in-plane smoothing that takes the edge off the noise.

    Returns:
        Millilitres; larger means more suspicious.
    """
    width = smooth_mm / pixel_mm
    smooth = ndimage.gaussian_filter(np.clip(volume_hu, -100, 200).astype(np.float32), (0, width, width))
    bright = (smooth >= BLOOD_HU[0]) & (smooth <= BLOOD_HU[1]) & intracranial(volume_hu, pixel_mm)
    return float(bright.sum()) * pixel_mm**2 * slice_mm / 1000


def area_under_curve(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties counted half.

    Raises:
        ValueError: Only one class is there.
    """
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        raise ValueError(f"an AUC needs both classes, got {positive} positives and {negative} negatives")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))
