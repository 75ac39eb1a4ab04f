"""The views that a classifier of radiographs tells apart, and the contract of a bundle that does so."""

from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import Field

from bundles.common.strict import Strict, read_mapping, validate

ViewName = Literal["frontal_chest", "lateral_chest", "wrist", "other"]
VIEWS: tuple[ViewName, ...] = get_args(ViewName)
UNCLEAR = "unclear"
"""Said of a picture that no view is certain enough of."""
_WORDS = MappingProxyType(
    {
        "frontal_chest": "a frontal chest",
        "lateral_chest": "a lateral chest",
        "wrist": "a wrist",
        "other": "something other than a chest or a wrist",
        UNCLEAR: "no view in particular",
    }
)
CONTRACT = Path("configs/view.yaml")


class ViewContract(Strict):
    """A view bundle's `configs/view.yaml`.

    Attributes:
        probabilities: Key of the postprocessed output with one probability for each view.
        views: What these are, in order.
        least_certainty: Below it, a picture's view is unclear.
    """

    probabilities: str = "probabilities"
    views: tuple[ViewName, ...] = Field(min_length=2)
    least_certainty: float = Field(ge=0.5, lt=1)


def load_view_contract(bundle: Path) -> ViewContract:
    """Read `configs/view.yaml` of a bundle folder.

    Raises:
        ConfigurationError: The file is missing or wrong; unknown keys come with the nearest known one.
    """
    path = bundle / CONTRACT
    return validate(ViewContract, read_mapping(path), str(path))


def in_words(view: str) -> str:
    """A view as it stands in a sentence: "a frontal chest"."""
    return _WORDS[view]
