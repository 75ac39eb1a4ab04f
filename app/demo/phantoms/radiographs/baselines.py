"""Answers of rules without learning, one score an image: what a network has to beat."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from scipy import ndimage

from app.demo.phantoms.baseline import area_under_curve
from app.demo.phantoms.radiographs.plane import Array

WORK_ROWS = 256
_BLOBS_PX = (2.5, 4.0, 6.5, 10.0)


def read_picture(path: Path) -> Array:
    """A picture of a set, 0 black to 1 white, bone bright, (rows, columns), about `WORK_ROWS` rows."""
    if path.suffix == ".png":
        values = np.asarray(Image.open(path)).astype(np.float32) / 65535
    else:
        image = dcmread(path)
        values = image.pixel_array.astype(np.float32) / (2**image.BitsStored - 1)
        values = 1 - values if image.PhotometricInterpretation == "MONOCHROME1" else values
    step = max(1, values.shape[0] // WORK_ROWS)
    rows, columns = values.shape[0] // step * step, values.shape[1] // step * step
    small = values[:rows, :columns].reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
    return np.asarray(small, dtype=np.float32)


def lungs(picture: Array) -> NDArray[np.bool_]:
    """The dark parts inside the body, left and right of the middle, without a margin."""
    smooth = ndimage.gaussian_filter(picture, 3)
    rows, columns = picture.shape
    middle = smooth[rows // 5 : -rows // 5, columns // 6 : -columns // 6]
    dark = smooth < np.median(middle)
    dark[: rows // 12] = dark[-rows // 8 :] = False
    dark[:, : columns // 12] = dark[:, -columns // 12 :] = False
    dark[:, columns * 45 // 100 : columns * 55 // 100] = False
    # What is bright within a lung belongs to it.
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(dark, iterations=4))
    return np.asarray(ndimage.binary_erosion(whole, iterations=3))


def _spread(values: Array) -> float:
    """Median absolute deviation, which a few strong places do not change."""
    return max(float(np.median(np.abs(values - np.median(values)))), 1e-6)


def blob_score(picture: Array) -> float:
    """The strongest bright blob (difference of Gaussians over four sizes) in the lungs, over the usual strength.

    Both blurs look at the lungs alone, so that their borders are no blobs.
    """
    inside = lungs(picture)
    if inside.sum() < 50:
        return 0.0
    mask = inside.astype(np.float32)

    def blurred(width: float) -> Array:
        weight = np.maximum(ndimage.gaussian_filter(mask, width), 1e-3)
        return np.asarray(ndimage.gaussian_filter(picture * mask, width) / weight, dtype=np.float32)

    core = ndimage.binary_erosion(inside, iterations=2)
    best = 0.0
    for width in _BLOBS_PX:
        values = (blurred(width) - blurred(1.6 * width))[core]
        best = max(best, float(values.max() / _spread(values))) if values.size else best
    return best


def apex_score(picture: Array) -> float:
    """Difference of the mean grey values of the two apices of the lungs, over their spread."""
    inside = lungs(picture)
    rows, columns = np.nonzero(inside)
    if len(rows) < 50:
        return 0.0
    top = np.percentile(rows, 2)
    upper = inside.copy()
    upper[int(top + 0.35 * (rows.max() - top)) :] = False
    middle = int(np.median(columns))
    left, right = picture[:, :middle][upper[:, :middle]], picture[:, middle:][upper[:, middle:]]
    if not len(left) or not len(right):
        return 0.0
    return float(abs(left.mean() - right.mean()) / max(picture[inside].std(), 1e-6))


def ridge_score(picture: Array) -> float:
    """The strongest dark line across the bones of the forearm: curvature along the arm in the lower two thirds."""
    rows = picture.shape[0]
    lower = picture[rows * 4 // 10 : rows * 9 // 10]
    body = lower[lower > 0.05]
    if body.size < 50:
        return 0.0
    bone = ndimage.gaussian_filter(lower, 1.5) > np.percentile(body, 65)
    bone = ndimage.binary_erosion(ndimage.binary_closing(bone, iterations=5), iterations=3)
    scales = [ndimage.gaussian_filter(lower, width, order=(2, 0)) * width**2 for width in (1.0, 1.8)]
    values = np.maximum(*scales)[bone]
    return float(np.percentile(values, 99.5) / _spread(values)) if values.size > 50 else 0.0


SCORES = {
    "chest": {"lesion": ("brightest blob", blob_score), "pneumothorax": ("apex asymmetry", apex_score)},
    "wrist": {"fracture": ("darkest ridge", ridge_score)},
}


def baseline_aucs(datalist: Path, part: str = "test") -> dict[str, tuple[str, float, int]]:
    """AUC of each rule over one list of a set: by label, its name, the area and the number of images.

    Raises:
        ValueError: The list is empty, no rule knows its kind, or only one class is there.
    """
    lines = json.loads(datalist.read_text())[part]
    kinds = {line["kind"] for line in lines}
    if len(kinds) != 1 or not kinds <= SCORES.keys():
        raise ValueError(
            f"{datalist}, {part}: rules know chests and wrists, one kind a set, not {sorted(kinds) or 'nothing'}"
        )
    pictures = [read_picture(datalist.parent / line["image"]) for line in lines]
    found = {}
    for label, (name, rule) in SCORES[kinds.pop()].items():
        truth = np.array([bool(line["labels"][label]) for line in lines])
        scores = np.array([rule(picture) for picture in pictures])
        found[label] = (name, area_under_curve(scores, truth), len(lines))
    return found
