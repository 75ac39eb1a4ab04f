"""Parts of the labels: whole patients, each stratum in proportion, smaller parts inside larger ones, no empty class."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.datalist.fractions import label_fraction, strata_of, van_der_corput

NAMES = ("common", "rare")


def made(patients: int = 400, *, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """One to three images a patient; a third of the patients show the common finding, a tenth the rare one."""
    generator = np.random.default_rng(seed)
    names, labels = [], []
    for number in range(patients):
        shows = np.array([number % 3 == 0, number % 10 == 0], dtype=float)
        for _ in range(int(generator.integers(1, 4))):
            names.append(f"P{number}")
            labels.append(shows)
    return names, np.array(labels)


def patients_of(names: list[str], chosen: list[int]) -> set[str]:
    return {names[place] for place in chosen}


def test_all_of_the_labels_are_all_in_order() -> None:
    names, labels = made()
    assert label_fraction(names, labels, 1.0, seed=5, names=NAMES) == list(range(len(names)))


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_every_stratum_gives_its_share_of_whole_patients(fraction: float) -> None:
    names, labels = made()
    chosen = label_fraction(names, labels, fraction, seed=1, names=NAMES)
    kept = patients_of(names, chosen)
    assert [place for place, name in enumerate(names) if name in kept] == chosen
    shown = {name: (int(name[1:]) % 3 == 0, int(name[1:]) % 10 == 0) for name in dict.fromkeys(names)}
    for members in strata_of(shown).values():
        assert abs(len(kept & set(members)) - fraction * len(members)) <= 0.5
    # Beside the strata: of those who show both findings there is about the same share.
    both = [name for name, flags in shown.items() if all(flags)]
    assert abs(len(kept & set(both)) - fraction * len(both)) <= 2


def test_smaller_parts_lie_inside_larger_ones_and_seeds_differ() -> None:
    names, labels = made()
    parts = [
        patients_of(names, label_fraction(names, labels, share, seed=3, names=NAMES))
        for share in (0.05, 0.1, 0.25, 0.5, 1.0)
    ]
    assert all(small < large for small, large in pairwise(parts))
    assert parts[1] == patients_of(names, label_fraction(names, labels, 0.1, seed=3, names=NAMES))
    assert parts[1] != patients_of(names, label_fraction(names, labels, 0.1, seed=4, names=NAMES))


def test_the_order_of_the_file_does_not_matter() -> None:
    names, labels = made()
    turned = label_fraction(names[::-1], labels[::-1], 0.1, seed=3, names=NAMES)
    assert patients_of(names[::-1], turned) == patients_of(
        names, label_fraction(names, labels, 0.1, seed=3, names=NAMES)
    )


def test_a_fraction_that_leaves_a_class_empty_names_it() -> None:
    names, labels = made(60)
    with pytest.raises(ValueError, match=r"1 % of the labels .* leave a class empty: .*no image shows rare"):
        label_fraction(names, labels, 0.01, seed=0, names=NAMES)
    with pytest.raises(ValueError, match="every image of known label shows rare"):
        label_fraction(["a", "b"], [[1, 1], [0, np.nan]], 1.0, seed=0, names=NAMES)


def test_unknown_labels_are_neither() -> None:
    with pytest.raises(ValueError, match="no image shows rare"):
        label_fraction(["a", "b"], [[1, np.nan], [0, 0]], 1.0, seed=0, names=NAMES)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_a_fraction_outside_of_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        label_fraction(["a"], [[1, 0]], fraction, seed=0, names=NAMES)


def test_names_must_fit_the_labels() -> None:
    with pytest.raises(ValueError, match="2 findings with 1 names"):
        label_fraction(["a"], [[1, 0]], 1.0, seed=0, names=["one"])


def test_the_sequence_is_that_of_van_der_corput() -> None:
    assert van_der_corput(8).tolist() == [0, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875]
    assert van_der_corput(1).tolist() == [0]


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_its_numbers_are_all_different(count: int, seed: int) -> None:
    places = (van_der_corput(count) + np.random.default_rng(seed).random()) % 1
    assert len(set(places.tolist())) == count
