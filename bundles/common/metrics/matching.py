"""Which predicted box found which true box, by intersection over union, image by image.

Boxes are (x0, y0, x1, y1): edges in pixels, x to the right, y down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ImageBoxes:
    """What was predicted and what is true in one image, for one class.

    Attributes:
        patient: Whose image; bootstrap draws patients.
        boxes: (predictions, 4).
        scores: (predictions,), higher is more certain.
        truth: (findings, 4); none for an image without the finding.
    """

    patient: str
    boxes: Floats
    scores: Floats
    truth: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Predictions of all images after matching, from the highest score to the lowest.

    Attributes:
        scores: (predictions,), falling.
        hit: (predictions,) bool: found a true box that none with a higher score had found.
        image: (predictions,) index of the image.
        findings: (images,) number of true boxes in each image.
        patients: (images,) whose.
    """

    scores: Floats
    hit: NDArray[np.bool_]
    image: NDArray[np.intp]
    findings: NDArray[np.int64]
    patients: NDArray[np.str_]


def image_boxes(patient: str, boxes: ArrayLike, scores: ArrayLike, truth: ArrayLike) -> ImageBoxes:
    """Check and arrange one image; empty lists are allowed.

    A predicted box may be as thin as nothing, at the border of the image: it is a false alarm.

    Raises:
        ValueError: A shape that does not fit, a value that is not finite, a true box without area, or a predicted one
            whose edges are swapped. It names the place of the box.
    """
    found, known = _boxes(boxes, "predicted", 0.0), _boxes(truth, "true", np.finfo(float).tiny)
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if len(values) != len(found):
        raise ValueError(f"expected a score for each of {len(found)} boxes, got {len(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"score {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite")
    return ImageBoxes(str(patient), found, values, known)


def intersection_over_union(first: Floats, second: Floats) -> Floats:
    """Shared area by joint area of every pair.

    Args:
        first: (n, 4), whose area may be 0.
        second: (m, 4) of positive area.

    Returns:
        (n, m), 0 to 1.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    overlap: Floats = shared / (areas[0][:, None] + areas[1][None, :] - shared)
    return overlap


def match(images: Sequence[ImageBoxes], min_iou: float) -> Hits:
    """Let predictions take true boxes, the highest score first, each the free one that it covers best.

    A second box on a finding that is already found is a false alarm, as in COCO and VOC: telling findings apart is part
    of the task. Because the order is that of the scores, leaving out predictions below a threshold changes nothing
    above it. Of equal scores, the one that covers a true box best goes first.

    Args:
        images: Those without predictions or findings too: they count as images.
        min_iou: Least intersection over union of a hit, above 0.

    Raises:
        ValueError: No image, or `min_iou` outside of 0 (excluded) to 1.
    """
    if not images:
        raise ValueError("there is no image to measure on")
    if not 0 < min_iou <= 1:
        raise ValueError(f"the least intersection over union lies above 0 and at most at 1, got {min_iou}")
    scores = np.concatenate([image.scores for image in images])
    hit = np.concatenate([_hits(image, min_iou) for image in images])
    place = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])
    order = np.argsort(-scores, kind="stable")
    return Hits(
        scores=scores[order],
        hit=hit[order],
        image=place[order],
        findings=np.array([len(image.truth) for image in images]),
        patients=np.array([image.patient for image in images]),
    )


def _hits(image: ImageBoxes, min_iou: float) -> NDArray[np.bool_]:
    hit = np.zeros(len(image.scores), dtype=np.bool_)
    if not len(image.truth) or not len(image.scores):
        return hit
    overlap = intersection_over_union(image.boxes, image.truth)
    for index in np.lexsort((-overlap.max(axis=1), -image.scores)):
        best = int(overlap[index].argmax())
        if overlap[index, best] >= min_iou:
            hit[index] = True
            overlap[:, best] = -1
    return hit


def _boxes(boxes: ArrayLike, kind: str, least: float) -> Floats:
    values = np.asarray(boxes, dtype=np.float64)
    values = values.reshape(0, 4) if values.size == 0 else values
    if values.ndim != 2 or values.shape[1] != 4:
        raise ValueError(f"expected {kind} boxes as (x0, y0, x1, y1), got shape {values.shape}")
    sides = values[:, 2:] - values[:, :2]
    good = np.isfinite(values).all(axis=1) & (sides >= least).all(axis=1)
    if not good.all():
        index = int(np.flatnonzero(~good)[0])
        raise ValueError(f"{kind} box {index} has no area, or edges that are not finite: {values[index].tolist()}")
    return values
