"""The nine kinds of objects that GRAZPEDWRI-DX marks, and one marked object.

Nagy et al., Sci. Data 9 (2022) 222.
"""

from dataclasses import dataclass

from bundles.common.datalist.boxes import Edges
from bundles.common.datalist.problems import Place

CLASSES = (
    "boneanomaly",
    "bonelesion",
    "foreignbody",
    "fracture",
    "metal",
    "periostealreaction",
    "pronatorsign",
    "softtissue",
    "text",
)
FRACTURE = CLASSES.index("fracture")


@dataclass(frozen=True, slots=True)
class Marked:
    """An object: where its file says so, its kind, its edges in pixels of the image."""

    place: Place
    kind: int
    edges: Edges
