"""Mean average precision over boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics.intervals import REPLICATES, Interval, percentiles, resamples
from bundles.common.metrics.matching import Hits, ImageBoxes, match

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeanAveragePrecision:
    """Measured on all images.

    Attributes:
        mean: Over the classes that have findings, with its 95 % bootstrap interval over patients.
        by_class: Average precision of each class; NaN without findings.
        min_iou: Least intersection over union of a hit.
    """

    mean: Interval
    by_class: dict[str, float]
    min_iou: float


def mean_average_precision(
    classes: Mapping[str, Sequence[ImageBoxes]],
    *,
    min_iou: float = 0.5,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> MeanAveragePrecision:
    """Mean over classes of the area under the precision-recall curve of boxes.

    Precision is made falling first, as VOC (since 2010) and COCO do: at each recall the best precision at that or a
    higher one. The area is exact, not sampled at 101 recalls as COCO's; with many findings the two are near.

    Args:
        classes: Of every class the same images in the same order.
        min_iou: Least intersection over union of a hit.
        replicates: Of the bootstrap over patients; 0 gives no interval.
        seed: Of the draws.

    Raises:
        ValueError: No class, classes with other images, or as in `match`.
    """
    if not classes:
        raise ValueError("there is no class to measure")
    hits = {name: match(images, min_iou) for name, images in classes.items()}
    patients = next(iter(hits.values())).patients
    if any(not np.array_equal(one.patients, patients) for one in hits.values()):
        raise ValueError("expected the same images in the same order for every class")
    count = len(patients)
    drawn = []
    for indices in resamples(count, patients, replicates, seed):
        weights = np.bincount(indices, minlength=count).astype(np.float64)
        drawn.append(_mean([_area(one, weights) for one in hits.values()]))
    low, high, used = percentiles(drawn)
    each = {name: _area(one, np.ones(count)) for name, one in hits.items()}
    return MeanAveragePrecision(Interval(_mean(list(each.values())), low, high, used), each, min_iou)


def _area(hits: Hits, weights: Floats) -> float:
    findings = float(weights @ hits.findings)
    if not findings:
        return float("nan")
    each = weights[hits.image]
    last = np.flatnonzero(np.diff(hits.scores, append=-np.inf) != 0)
    true, every = np.cumsum(each * hits.hit)[last], np.cumsum(each)[last]
    precision = true / np.maximum(every, 1e-300)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(true / findings, prepend=0.0) * envelope))


def _mean(areas: list[float]) -> float:
    defined = [area for area in areas if not np.isnan(area)]
    return float(np.mean(defined)) if defined else float("nan")
