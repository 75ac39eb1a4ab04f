"""Lesions of volumes: how many are found, by size, against false alarms; and overlap of masks (Dice)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bundles.common.lesions import label_lesions
from bundles.common.metrics.inputs import ratio
from bundles.common.metrics.intervals import REPLICATES, Interval, bootstrap

EDGES_MM = (0.0, 3.0, 6.0, 10.0, float("inf"))
"""Longest diameters between which lesions are counted apart."""


@dataclass(frozen=True, slots=True, eq=False)
class LesionCase:
    """What was found in one volume, and what is there.

    Attributes:
        patient: Whose volume; bootstrap draws patients.
        diameters_mm: (true lesions,) longest diameters.
        found: (true lesions,) whether a predicted lesion covers any of its voxels.
        false_alarms: Predicted lesions that touch no true one.
        dice: Of the whole masks; NaN where neither has a voxel.
    """

    patient: str
    diameters_mm: NDArray[np.float64]
    found: NDArray[np.bool_]
    false_alarms: int
    dice: float


@dataclass(frozen=True, slots=True)
class SizeReport:
    """Lesions of one size.

    Attributes:
        from_mm, below_mm: Longest diameters.
        lesions: Count.
        sensitivity: Share that is found, with its 95 % bootstrap interval over patients.
    """

    from_mm: float
    below_mm: float
    lesions: int
    sensitivity: Interval


@dataclass(frozen=True, slots=True)
class LesionReport:
    """Lesions of several volumes. All intervals are bootstrapped over patients.

    Attributes:
        volumes, patients, lesions: Counts.
        with_lesions: Volumes that have true lesions.
        sensitivity: Over all lesions.
        sizes: By longest diameter.
        false_alarms: A volume, mean.
        dice: Mean over the volumes that have true lesions. Pooled over all voxels, large lesions would decide it alone.
    """

    volumes: int
    patients: int
    lesions: int
    with_lesions: int
    sensitivity: Interval
    sizes: tuple[SizeReport, ...]
    false_alarms: Interval
    dice: Interval


def lesion_case(patient: str, predicted: ArrayLike, truth: ArrayLike, affine: ArrayLike) -> LesionCase:
    """Compare masks of one volume.

    True lesions are the 26-connected components of the truth; predicted ones keep their numbers. Any overlap is a hit:
    metastases lie far apart, and of one of three voxels a share would be a matter of chance.

    Args:
        patient: Whose.
        predicted: (i, j, k) integers: 0, or the number of a lesion.
        truth: (i, j, k), not 0 in lesions.
        affine: (4, 4) from index to millimetres.

    Raises:
        ValueError: The shapes differ, or as in `label_lesions`.
    """
    found, there = np.asarray(predicted), np.asarray(truth) != 0
    if found.shape != there.shape:
        raise ValueError(f"expected masks of one shape, got {found.shape} and {there.shape}")
    numbers, lesions = label_lesions(there, there, affine, min_volume_mm3=0.0)
    both = (found > 0) & there
    hit = np.zeros(len(lesions), dtype=np.bool_)
    hit[np.unique(numbers[both]) - 1] = True
    false = np.setdiff1d(np.unique(found[found > 0]), np.unique(found[both]))
    return LesionCase(
        patient=str(patient),
        diameters_mm=np.array([lesion.longest_diameter_mm for lesion in lesions], dtype=np.float64),
        found=hit,
        false_alarms=len(false),
        dice=ratio(2 * int(both.sum()), int((found > 0).sum()) + int(there.sum())),
    )


def report_lesions(
    cases: Sequence[LesionCase],
    *,
    edges_mm: Sequence[float] = EDGES_MM,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> LesionReport:
    """Measure sensitivity by size, false alarms and Dice over volumes.

    Args:
        cases: Those without true lesions too: their predictions are false alarms.
        edges_mm: Of the sizes, rising.
        replicates: Of the bootstrap; 0 gives no intervals.
        seed: Of the draws.

    Raises:
        ValueError: No volume, or edges that do not rise.
    """
    if len(edges_mm) < 2 or any(low >= high for low, high in pairwise(edges_mm)):
        raise ValueError(f"expected rising edges of sizes, got {tuple(edges_mm)}")
    patients = np.array([case.patient for case in cases])

    def interval(numbers: NDArray[np.float64], counts: NDArray[np.float64]) -> Interval:
        def share(indices: NDArray[np.intp]) -> float:
            return ratio(float(numbers[indices].sum()), float(counts[indices].sum()))

        return bootstrap(share, len(cases), patients, replicates, seed)

    sizes = []
    for low, high in pairwise(edges_mm):
        found, there = _counts(cases, low, high)
        sizes.append(SizeReport(float(low), float(high), int(there.sum()), interval(found, there)))
    found, there = _counts(cases, -np.inf, np.inf)
    drawn = there > 0
    dice = np.array([case.dice if ill else 0.0 for case, ill in zip(cases, drawn, strict=True)])
    alarms = np.array([case.false_alarms for case in cases], dtype=np.float64)
    return LesionReport(
        volumes=len(cases),
        patients=len(np.unique(patients)),
        lesions=int(there.sum()),
        with_lesions=int(drawn.sum()),
        sensitivity=interval(found, there),
        sizes=tuple(sizes),
        false_alarms=interval(alarms, np.ones(len(cases))),
        dice=interval(dice, drawn.astype(np.float64)),
    )


def _counts(cases: Sequence[LesionCase], low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Found and true lesions of a size in every volume."""
    chosen = [(case.diameters_mm >= low) & (case.diameters_mm < high) for case in cases]
    found = [float((case.found & own).sum()) for case, own in zip(cases, chosen, strict=True)]
    return np.array(found), np.array([float(own.sum()) for own in chosen])
