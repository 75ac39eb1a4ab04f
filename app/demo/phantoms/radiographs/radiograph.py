"""A finished radiograph with its truth, and what the makers of one hand to each other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.radiographs.plane import Array, Box

LESION, PNEUMOTHORAX = 0, 1
"""Classes of the chest's boxes."""
FRACTURE = 0
"""Class of the wrist's boxes."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One finding.

    Attributes:
        kind: Such as nodule, mass, pneumothorax, line, torus, greenstick.
        index: Class of its box.
        box: Where it lies in the written picture, in pixels.
        size_mm: Largest extent of a lesion, width of a pneumothorax, step of a fracture.
    """

    kind: str
    index: int
    box: Box
    size_mm: float


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A picture as a detector would give it for presentation, and what is known about it.

    Attributes:
        seed: Draws it again, together with the kind and size.
        kind: One of `kinds.KINDS`.
        picture: (rows, columns), 0 black to 1 white, bone bright.
        pitch_mm: Edge of a pixel at the detector.
        view: PA, AP, LL, LATERAL, or empty.
        side: L, R, or empty for both.
        age: Years.
        sex: F, M or O.
        body_part: As BodyPartExamined has it.
        marks: All findings.
        labels: Of the whole image, by name.
        details: Whatever else is known, for truth files.
    """

    seed: int
    kind: str
    picture: Array
    pitch_mm: float
    view: str
    side: str
    age: int
    sex: str
    body_part: str
    marks: tuple[Mark, ...]
    labels: dict[str, int]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def boxes(self) -> list[list[float]]:
        """Edges of all boxes, pixels."""
        return [list(mark.box) for mark in self.marks]

    @property
    def classes(self) -> list[int]:
        """Class of each box."""
        return [mark.index for mark in self.marks]


def stored(picture: Array, bits: int) -> NDArray[np.uint16]:
    """A picture as unsigned values of so many bits."""
    return np.asarray(np.rint(np.clip(picture, 0, 1) * np.float32(2**bits - 1)), dtype=np.uint16)
