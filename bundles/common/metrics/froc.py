"""Free-response ROC: the share of findings that boxes find, against false alarms per image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics.intervals import REPLICATES, Interval, percentiles, resamples
from bundles.common.metrics.matching import Hits, ImageBoxes, match

Floats = NDArray[np.float64]
# Seed 001, section 4.3: false positives per image at which the sensitivity is averaged.
RATES = (0.01, 0.05, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MIN_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Froc:
    """A measured curve.

    Attributes:
        false_positives: (points,) per image, rising; the first point is (0, 0), above every score.
        sensitivity: (points,) share of all true boxes found.
        thresholds: (points,), falling, the first infinite; boxes at or above count.
        rates: False positives per image of the average.
        at_rates: (rates,) best sensitivity with at most so many false positives per image.
        average: Mean of `at_rates` with its 95 % bootstrap interval over patients.
        images, findings, patients: Counts.
        min_iou: Least intersection over union of a hit.
    """

    false_positives: Floats
    sensitivity: Floats
    thresholds: Floats
    rates: tuple[float, ...]
    at_rates: Floats
    average: Interval
    images: int
    findings: int
    patients: int
    min_iou: float


def measure_froc(
    images: Sequence[ImageBoxes],
    *,
    min_iou: float = MIN_IOU,
    rates: Sequence[float] = RATES,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Froc:
    """Measure the curve, its sensitivity at given rates, and their average with an interval.

    The sensitivity at a rate is the best that some threshold reaches with no more false positives than that: a step, no
    interpolation towards a point that needs more. Every threshold counts, the lowest too (MONAI's leaves it out, and
    takes a point in a mask for a hit). A curve that ends before a rate keeps its last sensitivity. Seed 001 does not
    state the overlap of a hit: `min_iou` goes into every report.

    Args:
        images: One class; images without findings count, their boxes being false positives.
        min_iou: Least intersection over union of a hit.
        rates: False positives per image, rising.
        replicates: Of the bootstrap over patients; 0 gives no interval.
        seed: Of the draws.

    Returns:
        The curve; without any finding sensitivities and their average are NaN.

    Raises:
        ValueError: No image, or rates that do not rise from above 0, or as in `match`.
    """
    wanted = np.asarray(rates, dtype=np.float64)
    if not len(wanted) or not (wanted > 0).all() or not (np.diff(wanted) > 0).all():
        raise ValueError(f"false positives per image must rise from above 0, got {tuple(rates)}")
    hits = match(images, min_iou)
    count = len(images)
    curve, at_rates = _curve(hits, np.ones(count), wanted)
    drawn = []
    for indices in resamples(count, hits.patients, replicates, seed):
        weights = np.bincount(indices, minlength=count).astype(np.float64)
        drawn.append(float(_curve(hits, weights, wanted)[1].mean()))
    low, high, used = percentiles(drawn)
    return Froc(
        false_positives=np.concatenate(([0.0], curve[0])),
        sensitivity=np.concatenate(([0.0 if hits.findings.any() else np.nan], curve[1])),
        thresholds=np.concatenate(([np.inf], curve[2])),
        rates=tuple(float(rate) for rate in wanted),
        at_rates=at_rates,
        average=Interval(float(at_rates.mean()), low, high, used),
        images=count,
        findings=int(hits.findings.sum()),
        patients=len(np.unique(hits.patients)),
        min_iou=min_iou,
    )


def score_at_rate(froc: Froc, rate: float) -> float:
    """The lowest score at which boxes make at most so many false positives per image: where to cut them.

    Midway to the next lower score, so that rounding moves no box across; infinite where even the best box is too many.
    """
    index = int(np.searchsorted(froc.false_positives, rate * (1 + 1e-12), side="right")) - 1
    ends = froc.thresholds[index : index + 2]
    return float(ends.mean())


def at_score(froc: Froc, score: float) -> tuple[float, float]:
    """Share of findings found and false positives per image of boxes at or above a score."""
    index = int(np.searchsorted(-froc.thresholds, -score, side="right")) - 1
    return float(froc.sensitivity[index]), float(froc.false_positives[index])


def _curve(hits: Hits, weights: Floats, rates: Floats) -> tuple[tuple[Floats, Floats, Floats], Floats]:
    """Curve (false positives, sensitivity, thresholds) and sensitivity at rates, each image counted `weights` times."""
    findings = float(weights @ hits.findings)
    each = weights[hits.image]
    # One point for each distinct score, after the last box that has it.
    last = np.flatnonzero(np.diff(hits.scores, append=-np.inf) != 0)
    false = np.cumsum(each * ~hits.hit)[last] / weights.sum()
    with np.errstate(invalid="ignore"):
        found = np.cumsum(each * hits.hit)[last] / np.float64(findings)
    start = 0.0 if findings else np.nan
    # Rates of 1/8 and the like are met exactly; the margin is for 0.01 and 0.05, which no float holds.
    places = np.searchsorted(false, rates * (1 + 1e-12), side="right")
    return (false, found, hits.scores[last]), np.concatenate(([start], found))[places]
