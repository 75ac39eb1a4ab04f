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


def known_boxes(labels: Tensor, classes: Tensor, *, boxed: bool = True) -> Tensor:
    """Whether all boxes of each class are there; see `Truth.known`.

    Args:
        labels: (classes,) of one image: 0, 1 or NaN.
        classes: (boxes,) of its boxes.
        boxed: False where something on the image has no box; then only what is absent is known.

    Returns:
        (classes,) bool.
    """
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    if boxed:
        drawn[classes] = True
    return drawn | (labels == 0)
