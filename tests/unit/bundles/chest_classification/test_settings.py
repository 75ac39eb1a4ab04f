"""CheSS's three settings give its own counts from its own full set."""

import pytest

from bundles.chest_classification.scripts.findings import CHESS_SIX
from bundles.chest_classification.scripts.settings import Setting, balanced, images_of_setting

FULL = (2515, 888, 1484, 224, 1308, 274)
CLASSES = [number for number, count in enumerate(FULL) for _ in range(count)]


def counts(chosen: list[int]) -> list[int]:
    return [sum(CLASSES[place] == number for place in chosen) for number in range(6)]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting.FULL, list(FULL)),
        (Setting.UNDERSAMPLED, [224] * 6),
        (Setting.MODIFIED, [336, 560, 560, 448, 224, 224]),
    ],
)
def test_the_counts_are_those_of_table_1(setting: Setting, expected: list[int]) -> None:
    chosen = images_of_setting(CLASSES, setting, CHESS_SIX, seed=0)
    assert counts(chosen) == expected
    # Only interstitial opacities come twice, each just twice.
    twice = {place for place in chosen if chosen.count(place) > 1}
    assert {CLASSES[place] for place in twice} == ({3} if setting is Setting.MODIFIED else set())
    assert len(twice) == (224 if setting is Setting.MODIFIED else 0)


def test_the_seed_chooses() -> None:
    one, same, other = (images_of_setting(CLASSES, Setting.UNDERSAMPLED, CHESS_SIX, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no training image is of class pneumothorax"):
        images_of_setting([0, 1, 2, 3, 4], Setting.FULL, CHESS_SIX, seed=0)
    with pytest.raises(ValueError, match="says nothing of edema"):
        images_of_setting([0, 1], Setting.MODIFIED, ("normal", "edema"), seed=0)
    with pytest.raises(ValueError, match="'halved'; expected one of full, undersampled, modified"):
        Setting.parse("halved")


def test_the_same_number_of_each_class() -> None:
    assert counts(balanced(CLASSES, 28, CHESS_SIX, seed=0)) == [28] * 6
    with pytest.raises(ValueError, match=r"per_class.*interstitial_opacity 224$"):
        balanced(CLASSES, 225, CHESS_SIX, seed=0)
