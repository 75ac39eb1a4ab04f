"""Where the fracture is, as a second teacher: a dense term beside the loss of the paper, and training on regions.

An image's label says in one bit what a few of its pixels show. Where a data set draws boxes (GRAZPEDWRI-DX does), the
encoder's last map can be taught by them too: a 1 × 1 convolution, thrown away after training, says of each of its cells
whether the middle of a fracture lies there. The network that is released is the paper's, and so is training with a
weight of 0. Training on regions of full resolution first is that of Shen et al., Scientific Reports 2019, for findings
that are small in their image.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.focal import focal
from bundles.wrist_fracture.scripts.network import WristFractureNet

UNKNOWN = -1
MIDDLE = 0.5
"""Share of a box's sides: what lies around the middle belongs to it less surely."""
DARK = 0.15
Truth = Mapping[str, Tensor]


def places_of(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw the middles of boxes.

    Args:
        boxes: (boxes, 4) x0, y0, x1, y1 in pixels of the network's input.
        size: (rows, columns) of the input.

    Returns:
        (1, rows, columns) int8: 1 in the middle of a box (at least one pixel), else 0.
    """
    drawn = torch.zeros((1, *size), dtype=torch.int8)
    for x0, y0, x1, y1 in boxes.tolist():
        columns, rows = _middle(x0, x1, size[1]), _middle(y0, y1, size[0])
        drawn[0, rows, columns] = 1
    return drawn


class PlacesLearner(nn.Module):
    """The network in training, with the convolution that says where.

    Args:
        network: Whose encoder and head are trained.
    """

    def __init__(self, network: WristFractureNet) -> None:
        super().__init__()
        self.network = network
        self.places = nn.Conv2d(network.channels, 1, 1)
        nn.init.normal_(self.places.weight, std=0.01)
        nn.init.constant_(self.places.get_parameter("bias"), -3.0)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(batch, 1, rows, columns) → logits `image` (batch, 1) and `places` (batch, 1, rows / 32, columns / 32)."""
        maps = self.network.features(x)
        return {"image": self.network.head(maps.mean(dim=(2, 3))), "places": self.places(maps)}


class WristLoss(nn.Module):
    """Cross entropy of the image, and focal loss of the places.

    Args:
        places: Weight of the second term; 0 is the paper's loss.
    """

    def __init__(self, places: float = 1.0) -> None:
        super().__init__()
        self.weight = places

    def forward(self, outputs: Mapping[str, Tensor], truth: Truth) -> Tensor:
        """Scalar loss.

        Args:
            outputs: Of `PlacesLearner`.
            truth: `label` (batch, 1), NaN where unknown; `places` (batch, 1, rows, columns).
        """
        known = ~truth["label"].isnan()
        image = functional.binary_cross_entropy_with_logits(outputs["image"][known], truth["label"][known])
        return image + self.weight * places_loss(outputs["places"], truth["places"])


def places_loss(logits: Tensor, places: Tensor) -> Tensor:
    """Focal loss of all cells of known truth over the number of those that hold a fracture, at least 1.

    Args:
        logits: (batch, 1, rows, columns) of the map.
        places: (batch, 1, rows, columns) of the input: 1, 0, or `UNKNOWN`.
    """
    wanted = functional.adaptive_max_pool2d(places.float(), logits.shape[-2:])
    each = focal(logits, wanted.clamp(min=0))
    return torch.where(wanted > UNKNOWN, each, 0.0).sum() / (wanted > 0).sum().clamp(min=1)


class RandRegiond(Randomizable, Transform):  # type: ignore[misc]  # MONAI is untyped
    """Cut a square region out of `image` and `places`; `label` becomes that of the region.

    Most regions of an image with a fracture lie around one, wherever it is within their middle half. The others
    lie anywhere where the image is not dark. Of an image whose places are unknown the region's label is unknown too.

    Args:
        side: In pixels; 0 takes the whole image.
        share: Of regions around a fracture, in images that have one.
    """

    def __init__(self, side: int, share: float = 0.75) -> None:
        self.side, self.share = side, share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item of `TrainingItemd`."""
        item = dict(data)
        if not self.side:
            return item
        row, column = self._corner(item["image"][0], item["places"][0])
        cut = slice(row, row + self.side), slice(column, column + self.side)
        places = item["places"][:, *cut]
        item["image"], item["places"] = item["image"][:, *cut], places
        known = bool((places > UNKNOWN).all())
        item["label"] = torch.tensor([float((places > 0).any()) if known else float("nan")])
        return item

    def _corner(self, image: Tensor, places: Tensor) -> tuple[int, int]:
        near = bool((places > 0).any()) and self.R.random() < self.share
        wanted = places > 0 if near else image > DARK
        candidates = wanted.nonzero()
        middle = np.array(image.shape) // 2
        if len(candidates):
            middle = candidates[int(self.R.randint(len(candidates)))].numpy()
        if near:
            middle = middle + self.R.randint(-(self.side // 4), self.side // 4 + 1, 2)
        row, column = (
            int(np.clip(at - self.side // 2, 0, max(0, size - self.side)))
            for at, size in zip(middle, image.shape, strict=True)
        )
        return row, column


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Truth]:
    """A batch as (image, truth) on the device."""
    truth = {name: batch[name].to(device, non_blocking=non_blocking) for name in ("label", "places")}
    return batch["image"].to(device, non_blocking=non_blocking), truth


def _middle(low: float, high: float, size: int) -> slice:
    centre, half = (low + high) / 2, (high - low) / 2 * MIDDLE
    first = int(np.clip(np.floor(centre - half), 0, size - 1))
    return slice(first, max(first + 1, int(np.clip(np.ceil(centre + half), 0, size))))
