"""A datalist of findings as one of classes that exclude each other, as CheSS's six are (Cho et al. 2023, Table 1).

Kept is an image that shows one class alone (`datalist.class_of`); its labels then name that class, so that whatever
reads the list asks the same images.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bundles.chest_classification.scripts.datalist import TRAINING, class_of
from bundles.chest_classification.scripts.settings import balanced
from bundles.common.radiograph.datalist import SECTIONS, Row, label_of


def of_one_class(
    content: Mapping[str, Any], classes: Sequence[str], *, per_class: int = 0, seed: int = 0
) -> tuple[dict[str, Any], Counter[str]]:
    """The content of a datalist with the images of one class alone; a list that is so already stays as it is.

    Args:
        content: Of a datalist.
        classes: Names of `findings.CHESS_SIX` or others; checked by the caller.
        per_class: In validation and test so many images of each class (the paper: 28); 0 takes all.
        seed: Of that choice.

    Returns:
        The content, and how many images were left out, by reason (`several`, `unknown`, `other`).

    Raises:
        ValueError: A section lacks a class, or has fewer images of one than `per_class`.
    """
    reasons: Counter[str] = Counter()
    made: dict[str, Any] = dict(content)
    for section in SECTIONS:
        rows = content.get(section) or []
        found = [class_of({name: label_of(row, name) for name in row["labels"]}, classes) for row in rows]
        reasons.update(one for one in found if isinstance(one, str))
        kept = [(row, one) for row, one in zip(rows, found, strict=True) if isinstance(one, int)]
        numbers = [one for _, one in kept]
        _expect_all(section, numbers, classes)
        if per_class and section != TRAINING:
            kept = [kept[place] for place in balanced(numbers, per_class, classes, seed=seed)]
        made[section] = [_labelled(row, one, classes) for row, one in kept]
    return made, reasons


def _labelled(row: Row, number: int, classes: Sequence[str]) -> dict[str, Any]:
    return {**row, "labels": {name: int(place == number) for place, name in enumerate(classes)}}


def _expect_all(section: str, numbers: Sequence[int], classes: Sequence[str]) -> None:
    empty = [name for place, name in enumerate(classes) if place not in numbers]
    if empty:
        raise ValueError(
            f"no image of '{section}' shows {', '.join(empty)} alone; take classes that the images have, or more images"
        )
