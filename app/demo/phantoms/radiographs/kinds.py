"""All kinds of phantom radiographs by name."""

from collections.abc import Mapping
from types import MappingProxyType

from app.demo.phantoms.radiographs.chest import make_chest, make_chest_with_opacities
from app.demo.phantoms.radiographs.other_views import OTHER_KINDS, make_other
from app.demo.phantoms.radiographs.radiograph import Radiograph
from app.demo.phantoms.radiographs.wrist import make_wrist

KINDS = ("chest", "wrist", "chest-opacities", *OTHER_KINDS)
VIEWS = "views"
"""A set of all kinds in turns, to train a view classifier on."""
OTHER_VIEWS = "other-views"
"""The same without frontal chests and wrists, to go with sets of these: lateral chests are every second."""
VIEW_CLASSES = ("chest-frontal", "chest-lateral", "wrist", "other")
"""What a view classifier tells apart, in the order of its outputs."""
_CLASS_OF = {
    "chest": "chest-frontal",
    "chest-opacities": "chest-frontal",
    "chest-lateral": "chest-lateral",
    "wrist": "wrist",
}
_OTHERS = tuple(kind for kind in OTHER_KINDS if kind != "chest-lateral")
_TURNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        VIEWS: tuple(one for other in _OTHERS for one in ("chest", "chest-lateral", "wrist", other)),
        OTHER_VIEWS: tuple(one for other in _OTHERS for one in ("chest-lateral", other)),
    }
)


def kind_of(kind: str, index: int) -> str:
    """The kind of one case of a set: the set's own, or for `VIEWS` one in turns, the four classes equally often."""
    turns = _TURNS.get(kind, (kind,))
    return turns[index % len(turns)]


def make_radiograph(kind: str, seed: int, size: int) -> Radiograph:
    """Draw a radiograph of one of `KINDS`.

    Args:
        kind: Which.
        seed: Same seed and size, same picture.
        size: Rows.

    Raises:
        ValueError: The kind is not known.
    """
    if kind == "chest":
        return make_chest(seed, size)
    if kind == "chest-opacities":
        return make_chest_with_opacities(seed, size)
    if kind == "wrist":
        return make_wrist(seed, size)
    if kind in OTHER_KINDS:
        return make_other(seed, kind, size)
    raise ValueError(f"no radiograph of kind {kind}; choose one of {', '.join(KINDS)}")


def view_class(kind: str) -> int:
    """Index in `VIEW_CLASSES`."""
    return VIEW_CLASSES.index(_CLASS_OF.get(kind, "other"))
