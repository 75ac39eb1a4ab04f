"""Training on regions of full resolution: most of a radiograph is background, and most lesions are a few cells wide.

The network is fully convolutional, so what it learns on regions holds on whole images, to which a last run returns.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from torch import Tensor

from bundles.common.boxes.geometry import area, clip, edges_to_centres

DARK = 0.02
"""Of 0 to 1: padding and air outside of the patient are darker."""


class RandRegiond(Randomizable, Transform):  # type: ignore[misc]  # MONAI is untyped
    """Cut a square region out of `image` (1, rows, columns); `boxes`, `classes`, `boxed` and `labels` become its own.

    Most regions of an image with boxes lie around one of them, wherever it is within their middle half. The others lie
    anywhere where the image is not dark. A finding whose boxes all lie outside is absent from the region. One that is
    cut too small to tell is dropped, and its class is unknown; so is a class that is present but has no box.

    Args:
        side: In pixels; 0 takes the whole image, as does a side that exceeds it, along that axis.
        share: Of regions around a box, in images that have one.
        least_visible: Share of a box's area.
    """

    def __init__(self, side: int, share: float = 0.75, least_visible: float = 0.3) -> None:
        if side < 0:
            raise ValueError(f"side of the regions: {side}; expected pixels, or 0 for whole images")
        self.side, self.share, self.least_visible = side, share, least_visible

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item of `TrainingItemd`."""
        item = dict(data)
        if not self.side:
            return item
        row, column = self._corner(item["image"][0], item["boxes"])
        # A copy: a view would keep the whole image in every batch and cache.
        image = item["image"][:, row : row + self.side, column : column + self.side].clone()
        whole = item["boxes"] - item["boxes"].new_tensor([column, row, column, row])
        visible = clip(whole, *image.shape[-2:])
        kept = area(visible) >= self.least_visible * area(whole)
        lost = _has(item["classes"][~kept & (area(visible) > 0)], item["labels"])
        shown, drawn = _has(item["classes"][kept], item["labels"]), _has(item["classes"], item["labels"])
        labels = item["labels"].clone()
        labels[(labels == 1) & ~shown] = 0.0
        labels[(item["labels"] == 1) & ~shown & (lost | ~drawn | ~item["boxed"])] = torch.nan
        item["image"], item["labels"], item["boxed"] = image, labels, item["boxed"] & ~lost
        item["boxes"], item["classes"] = visible[kept], item["classes"][kept]
        return item

    def _corner(self, image: Tensor, boxes: Tensor) -> tuple[int, int]:
        if len(boxes) and self.R.random() < self.share:
            chosen = edges_to_centres(boxes[int(self.R.randint(len(boxes)))])
            middle = chosen[:2].flip(0).numpy() + self.R.randint(-(self.side // 4), self.side // 4 + 1, 2)
        else:
            candidates = (image > DARK).nonzero()
            middle = np.array(image.shape) // 2
            if len(candidates):
                middle = candidates[int(self.R.randint(len(candidates)))].numpy()
        row, column = (
            int(np.clip(at - self.side // 2, 0, max(0, size - self.side)))
            for at, size in zip(middle, image.shape, strict=True)
        )
        return row, column


def _has(classes: Tensor, labels: Tensor) -> Tensor:
    """(boxes,) → (classes,): whether a box of each class is among them."""
    found = torch.zeros(len(labels), dtype=torch.bool)
    found[classes] = True
    return found
