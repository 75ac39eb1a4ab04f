"""A part of the labels: by patient, stratified, seeded, and each smaller part inside every larger one.

For experiments with 1, 10, 50 and 100 % of the labels (Cho et al., CheSS, 2023; Ghesu et al. 2022).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIDDLE = 0.5
NOTHING = -1


def label_fraction(
    patients: Sequence[str], labels: ArrayLike, fraction: float, *, seed: int, names: Sequence[str]
) -> list[int]:
    """Choose images of so many patients.

    Patients are sorted into strata by the rarest finding that any of their images shows, and within them by everything
    that they show; a low-discrepancy order (van der Corput) then takes them evenly. Of one seed, 1 % is part of 10 %,
    and that of 50 %.

    Args:
        patients: (images,) names.
        labels: (images, findings) 1, 0, or NaN where unknown.
        fraction: Of the patients of each stratum, above 0 and at most 1; 1 takes all.
        seed: Of the choice.
        names: (findings,) for errors.

    Returns:
        Indices of the images, rising.

    Raises:
        ValueError: A fraction outside of 0 to 1, tables of different length, or a finding that nobody shows, or
            everybody of known label, among those chosen.
    """
    table = np.asarray(labels, dtype=np.float64).reshape(len(patients), -1)
    if not 0 < fraction <= 1:
        raise ValueError(f"the fraction of the labels is {fraction}; expected a number above 0 and at most 1")
    if table.shape[1] != len(names):
        raise ValueError(f"labels of {table.shape[1]} findings with {len(names)} names")
    images: dict[str, list[int]] = defaultdict(list)
    for index, patient in enumerate(patients):
        images[patient].append(index)
    kept: set[str] = set(images)
    if fraction < 1:
        shown = {patient: _shown(table[own]) for patient, own in images.items()}
        kept = _chosen(shown, fraction, np.random.default_rng(seed))
    chosen = [index for index, patient in enumerate(patients) if patient in kept]
    _expect_both(table[chosen], fraction, names, len(kept))
    return chosen


def strata_of(shown: Mapping[str, tuple[bool, ...]]) -> dict[int, list[str]]:
    """Patients by the rarest finding that they show, `NOTHING` for those who show none."""
    counts = np.array(list(shown.values())).sum(axis=0)
    strata: dict[int, list[str]] = defaultdict(list)
    for patient, flags in shown.items():
        own = [place for place, flag in enumerate(flags) if flag]
        strata[min(own, key=lambda place: (counts[place], place)) if own else NOTHING].append(patient)
    return dict(strata)


def van_der_corput(count: int) -> NDArray[np.float64]:
    """The first numbers of the sequence 0, 1/2, 1/4, 3/4, … : binary digits mirrored at the point."""
    bits = max(1, math.ceil(math.log2(max(2, count))))
    numbers, found = np.arange(count), np.zeros(count)
    for bit in range(bits):
        found += ((numbers >> bit) & 1) / 2 ** (bit + 1)
    return found


def _shown(labels: NDArray[np.float64]) -> tuple[bool, ...]:
    return tuple(bool((column >= MIDDLE).any()) for column in labels.T)


def _chosen(shown: Mapping[str, tuple[bool, ...]], fraction: float, generator: np.random.Generator) -> set[str]:
    kept: set[str] = set()
    for _, members in sorted(strata_of(shown).items()):
        # By name first: the order of the file must not matter.
        shuffled = [sorted(members)[place] for place in generator.permutation(len(members))]
        ordered = sorted(shuffled, key=lambda patient: shown[patient])
        turn = generator.random()
        places = (van_der_corput(len(ordered)) + turn) % 1
        wanted = math.floor(fraction * len(ordered) + MIDDLE)
        kept.update(ordered[place] for place in np.argsort(places, kind="stable")[:wanted])
    return kept


def _expect_both(table: NDArray[np.float64], fraction: float, names: Sequence[str], patients: int) -> None:
    words = []
    for place, name in enumerate(names):
        known = table[~np.isnan(table[:, place]), place] >= MIDDLE
        if not known.any():
            words.append(f"no image shows {name}")
        elif known.all():
            words.append(f"every image of known label shows {name}")
    if words:
        raise ValueError(
            f"{100 * fraction:g} % of the labels ({patients} patients, {len(table)} images) leave a class empty: "
            f"{'; '.join(words)}. Take a larger fraction, another seed, or fewer classes"
        )
