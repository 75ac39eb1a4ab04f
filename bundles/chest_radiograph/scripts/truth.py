"""What a batch of radiographs shows, as the loss takes it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Boxes and labels of the images of one batch.

    Attributes:
        size: (rows, columns) of the network's input.
        boxes: For each image (boxes, 4) x0, y0, x1, y1 in pixels of the network's input, float32.
        classes: For each image (boxes,) index into `CLASSES`.
        labels: (batch, classes) 0 or 1, NaN where nobody said.
        known: (batch, classes) whether all boxes of the class are there: it has some, or the label says there are none.
    """

    size: tuple[int, int]
    boxes: tuple[Tensor, ...]
    classes: tuple[Tensor, ...]
    labels: Tensor
    known: Tensor

    def to(self, device: torch.device | str | None, *, non_blocking: bool = False) -> "Truth":
        """The same on a device."""
        return Truth(
            self.size,
            tuple(each.to(device, non_blocking=non_blocking) for each in self.boxes),
            tuple(each.to(device, non_blocking=non_blocking) for each in self.classes),
            self.labels.to(device, non_blocking=non_blocking),
            self.known.to(device, non_blocking=non_blocking),
        )


def known_boxes(labels: Tensor, classes: Tensor, *, boxed: Tensor | bool = True) -> Tensor:
    """Whether all boxes of each class are there; see `Truth.known`.

    Args:
        labels: (classes,) of one image: 0, 1 or NaN.
        classes: (boxes,) of its boxes.
        boxed: (classes,), or one for all: False where a finding of the class has no box; then it is known only if
            it is absent.

    Returns:
        (classes,) bool.
    """
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    drawn[classes] = True
    return (drawn & boxed) | (labels == 0)
