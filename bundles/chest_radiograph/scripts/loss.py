"""What the detector is trained on: focal loss, GIoU loss, centre-ness and image labels.

An image takes part in a class's focal loss only where its boxes of that class are known: it has some, or its label says
that there are none. An image that is labelled positive, or not labelled, and has no box of the class would teach that
nothing is there; it is left out, for that class. Images without findings take part from the first step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundles.chest_radiograph.scripts.assignment import LIMITS, NOTHING, RADIUS, assign
from bundles.chest_radiograph.scripts.grid import centreness, decode, encode, grid_of
from bundles.chest_radiograph.scripts.truth import Truth
from bundles.common.boxes.overlap import paired_giou
from bundles.common.focal import focal


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """What every location should say.

    Attributes:
        found: (batch, locations) whether it has a box.
        points, distances: (found, 2) and (found, 4) of those that have one.
        classes: (batch, locations, classes) 0 or 1.
    """

    found: Tensor
    points: Tensor
    distances: Tensor
    classes: Tensor


class DetectionLoss(nn.Module):
    """The weighted sum of four terms.

    Args:
        classes, boxes, centre, image: Weights of the focal, GIoU, centre-ness and image-label terms.
        alpha, gamma: Of the focal loss.
        limits, radius: Of the assignment; see `bundles.chest_radiograph.scripts.assignment`.
    """

    def __init__(
        self,
        *,
        classes: float = 1.0,
        boxes: float = 1.0,
        centre: float = 1.0,
        image: float = 0.5,
        alpha: float = 0.25,
        gamma: float = 2.0,
        limits: Sequence[float] = LIMITS,
        radius: float = RADIUS,
    ) -> None:
        super().__init__()
        self.weights = {"classes": classes, "boxes": boxes, "centre": centre, "image": image}
        self.alpha, self.gamma = alpha, gamma
        self.limits, self.radius = tuple(limits), radius

    def forward(self, outputs: Mapping[str, Tensor], truth: Truth) -> Tensor:
        """Scalar loss; see `terms`."""
        terms = self.terms(outputs, truth)
        return torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()

    def terms(self, outputs: Mapping[str, Tensor], truth: Truth) -> dict[str, Tensor]:
        """The four terms before weighting.

        Args:
            outputs: Of `ChestDetector`.
            truth: Of the batch, on the same device.

        Returns:
            `classes`, `boxes`, `centre`, `image`: scalars, 0 where nothing takes part. The first and third are divided
            by the number of locations that have a box, the second by the sum of their centre-ness (averaged over
            processes, at least 1), the last by the number of labels.
        """
        wanted = self._wanted(truth, outputs["classes"].shape[-1], outputs["classes"].device)
        count = _over_processes(wanted.found.sum())
        distances = outputs["boxes"].float()[wanted.found]
        central = centreness(wanted.distances)
        overlap = paired_giou(decode(wanted.points, distances), decode(wanted.points, wanted.distances))
        each = focal(outputs["classes"].float(), wanted.classes, self.alpha, self.gamma)
        return {
            "classes": torch.where(truth.known[:, None], each, 0.0).sum() / count,
            "boxes": ((1 - overlap) * central).sum() / _over_processes(central.sum()),
            "centre": _cross_entropy(outputs["centre"].float()[wanted.found], central).sum() / count,
            "image": _image(outputs["image"].float(), truth.labels),
        }

    def _wanted(self, truth: Truth, number: int, device: torch.device) -> _Wanted:
        grid = grid_of(*truth.size, device=device)
        index = torch.stack([assign(boxes, grid, self.limits, self.radius) for boxes in truth.boxes])
        found = index != NOTHING
        hot = torch.zeros((*index.shape, number), device=device)
        taken = []
        for image, (boxes, classes) in enumerate(zip(truth.boxes, truth.classes, strict=True)):
            own = index[image][found[image]]
            taken.append(boxes[own])
            hot[image, found[image]] = functional.one_hot(classes[own], number).to(hot.dtype)
        points = grid.points.expand(len(index), -1, -1)[found]
        return _Wanted(found, points, encode(points, torch.cat(taken)), hot)


def _image(logits: Tensor, labels: Tensor) -> Tensor:
    known = ~labels.isnan()
    entropy = _cross_entropy(logits, labels.nan_to_num())
    return torch.where(known, entropy, 0.0).sum() / known.sum().clamp(min=1)


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def _over_processes(count: Tensor) -> Tensor:
    """Mean over all processes, so that gradients averaged over them are those of one large batch."""
    count = count.detach().float()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return count.clamp(min=1)
