"""How many images of each class a training sees: the three settings of CheSS (Cho et al. 2023, Table 1).

The paper's counts for training, of normal, nodule, consolidation, interstitial opacity, pleural effusion, pneumothorax:
full 2515, 888, 1484, 224, 1308, 274; undersampled 224 of each; modified 336, 560, 560, 448, 224, 224. Here they are
multiples of the smallest class, so that other data give the same proportions. Its validation and test have 28 of each.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import structlog

from bundles.chest_classification.scripts.findings import CHESS_SIX

log = structlog.get_logger()


class Setting(StrEnum):
    """`setting` of the configurations."""

    FULL = "full"
    UNDERSAMPLED = "undersampled"
    MODIFIED = "modified"

    @classmethod
    def parse(cls, text: str) -> "Setting":
        """The setting of a configuration.

        Raises:
            ValueError: Another word.
        """
        try:
            return cls(text)
        except ValueError:
            raise ValueError(f"the setting is '{text}'; expected one of {', '.join(cls)}") from None


MODIFIED: Mapping[str, float] = MappingProxyType(
    dict(zip(CHESS_SIX, (336 / 224, 560 / 224, 560 / 224, 448 / 224, 1.0, 1.0), strict=True))
)
"""Images of each class for one of the smallest."""


def images_of_setting(classes_of: Sequence[int], setting: Setting, names: Sequence[str], *, seed: int) -> list[int]:
    """Choose training images; where a class has fewer than a setting wants, its images come again, as in the paper.

    Args:
        classes_of: (images,) class of each.
        setting: Which.
        names: Of the classes.
        seed: Of the choice.

    Returns:
        Indices of images, rising; one that comes again stands there again.

    Raises:
        ValueError: A class without an image, or of the modified setting one that the paper does not have.
    """
    counts = [sum(each == number for each in classes_of) for number in range(len(names))]
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        raise ValueError(f"no training image is of class {', '.join(empty)}; expected some of each class")
    if setting is Setting.FULL:
        return list(range(len(classes_of)))
    if setting is Setting.MODIFIED and (strange := [name for name in names if name not in MODIFIED]):
        raise ValueError(
            f"the modified setting is of {', '.join(MODIFIED)}; it says nothing of {', '.join(strange)}. "
            "Take full or undersampled"
        )
    factors = [MODIFIED[name] if setting is Setting.MODIFIED else 1.0 for name in names]
    return drawn(classes_of, [round(factor * min(counts)) for factor in factors], names, seed=seed)


def balanced(classes_of: Sequence[int], each: int, names: Sequence[str], *, seed: int) -> list[int]:
    """Choose as many images of every class, for validation and test.

    Raises:
        ValueError: A class has fewer.
    """
    counts = [sum(one == number for one in classes_of) for number in range(len(names))]
    short = [f"{name} {count}" for name, count in zip(names, counts, strict=True) if count < each]
    if short:
        raise ValueError(f"{each} images of each class are wanted (per_class), and there are of {', '.join(short)}")
    return drawn(classes_of, [each] * len(names), names, seed=seed)


def drawn(classes_of: Sequence[int], wanted: Sequence[int], names: Sequence[str], *, seed: int) -> list[int]:
    """So many images of each class, without one coming again before all of its class have come as often."""
    generator, chosen = np.random.default_rng(seed), list[int]()
    for number, count in enumerate(wanted):
        own = [index for index, one in enumerate(classes_of) if one == number]
        rounds = math.ceil(count / len(own)) if own else 0
        order = [own[place] for _ in range(rounds) for place in generator.permutation(len(own))]
        chosen += order[:count]
        if rounds > 1:
            log.info("images_repeated", of=names[number], images=len(own), wanted=count)
    return sorted(chosen)
