"""What the outlines are worth: bleeds found by size, false ones, Dice, and a sheet of examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bundles.common.lesions import NEIGHBOURS
from bundles.common.metrics.examples import Example, plot_examples
from bundles.common.metrics.lesion_words import plain_lesions
from bundles.common.metrics.lesions import LesionCase, lesion_case, report_lesions
from bundles.head_ct_hemorrhage.scripts.network import TYPES

EDGES_MM = (0.0, 10.0, 20.0, 40.0, float("inf"))
"""Longest diameters between which bleeds are counted apart."""
WINDOW_HU = (0.0, 80.0)
EXAMPLES = 8

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """One case.

    Attributes:
        case: What was found and missed.
        example: Its fullest slice; None for a case without blood.
    """

    case: LesionCase
    example: Example | None


def outlined_of(number: int, item: Item, found: Item, *, present: bool) -> Outlined | None:
    """Compare the outlines that the service would show with the truth, in the source's voxels.

    Args:
        number: Of the case.
        item: After preprocessing, with `source_image` and `source_mask` (columns, rows, slices) as they were read;
            without a mask a case without hemorrhage has none, of others nothing is known.
        found: The same after postprocessing.
        present: Whether the service finds a hemorrhage; of one that is absent it shows no outline.

    Returns:
        None where the truth is not known.
    """
    labels = np.asarray(found["lesions"]) if present else np.zeros(tuple(item["source_shape"]), np.uint8)
    if "source_mask" in item:
        truth = np.asarray(item["source_mask"]) > 0
    elif item.get("label") == 0:
        truth = np.zeros(labels.shape, bool)
    else:
        return None
    case = lesion_case(str(number), labels, truth, np.asarray(item["source_affine"]))
    return Outlined(case, _example(item, labels, truth, case.dice) if truth.any() else None)


def measure_outlines(outlined: Sequence[Outlined], replicates: int) -> dict[str, Any]:
    """Bleeds by size, false ones and Dice, as JSON keeps them; every case a patient."""
    return plain_lesions(report_lesions([one.case for one in outlined], edges_mm=EDGES_MM, replicates=replicates))


def draw_examples(path: Path, outlined: Sequence[Outlined]) -> None:
    """Cases spread evenly over the order of their Dice, the worst first: true outlines boxed, predicted ones coloured.

    Nothing is drawn where no case has blood.
    """
    drawn = sorted((one for one in outlined if one.example is not None), key=lambda one: one.case.dice)
    places = np.linspace(0, len(drawn) - 1, min(EXAMPLES, len(drawn))).round().astype(int).tolist()
    examples = [each for place in places if (each := drawn[place].example) is not None]
    if examples:
        plot_examples(path, examples)


def _example(item: Item, labels: NDArray[Any], truth: NDArray[np.bool_], dice: float) -> Example:
    fullest = int(truth.sum(axis=(0, 1)).argmax())
    hu = np.asarray(item["source_image"])[:, :, fullest].T
    components, _ = ndimage.label(truth[:, :, fullest].T, structure=NEIGHBOURS[1])
    boxes = [(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(components)]
    kinds = [name for name, present in zip(TYPES, item.get("types") or (), strict=False) if present]
    return Example(
        image=np.clip(hu, *WINDOW_HU),
        title=f"{', '.join(kinds) or 'hemorrhage'}: Dice {dice:.2f}",
        truth=boxes,
        heat=(labels[:, :, fullest].T > 0).astype(np.float32),
    )
