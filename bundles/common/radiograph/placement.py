"""How a radiograph lies in the network's input: scaled with its proportions kept, in the upper left corner."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Placement:
    """Sizes as (rows, columns) in pixels.

    Attributes:
        source: Of the radiograph.
        scaled: Of the radiograph within the input.
    """

    source: tuple[int, int]
    scaled: tuple[int, int]

    @classmethod
    def fitting(cls, source: tuple[int, int], size: int) -> "Placement":
        """The largest that fits a square of `size` pixels; the longer side fills it."""
        longer = max(source)
        rows, columns = (max(1, round(side * size / longer)) for side in source)
        return cls(source, (rows, columns))

    @classmethod
    def from_tensor(cls, numbers: Tensor) -> "Placement":
        """The inverse of `as_tensor`."""
        rows, columns, scaled_rows, scaled_columns = (int(number) for number in numbers)
        return cls((rows, columns), (scaled_rows, scaled_columns))

    def as_tensor(self) -> Tensor:
        """(4,) int64, which data loaders and caches take along."""
        return torch.tensor([*self.source, *self.scaled])

    def to_input(self, boxes: Tensor) -> Tensor:
        """(…, 4) boxes in pixels of the source → pixels of the input."""
        return boxes * self._factors(boxes)

    def to_source(self, boxes: Tensor) -> Tensor:
        """(…, 4) boxes in pixels of the input → pixels of the source."""
        return boxes / self._factors(boxes)

    def _factors(self, boxes: Tensor) -> Tensor:
        # Of the sizes after rounding, a little different for rows and columns: boxes go where the pixels went.
        rows, columns = (after / before for before, after in zip(self.source, self.scaled, strict=True))
        return boxes.new_tensor([columns, rows, columns, rows])


def placed(pixels: Tensor, placement: Placement, size: int) -> Tensor:
    """(rows, columns) float → (1, size, size): scaled without aliasing, padded with 0 to the right and below."""
    scaled = functional.interpolate(
        pixels[None, None], size=placement.scaled, mode="bilinear", antialias=True, align_corners=False
    )[0]
    rows, columns = placement.scaled
    padded: Tensor = functional.pad(scaled, (0, size - columns, 0, size - rows))
    return padded
