"""From the network's outputs to boxes in pixels of the source image, and a probability of each finding."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from bundles.chest_radiograph.scripts.detections import Choice, detections_of
from bundles.chest_radiograph.scripts.network import CLASSES
from bundles.common.boxes.geometry import clip
from bundles.common.radiograph.placement import Placement


class Detectionsd(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Turn `pred` into `boxes`, `scores`, `classes` and `probabilities`, on the CPU.

    `boxes` (found, 4) are edges x0, y0, x1, y1 in pixels of the source, x to the right, y down; `scores` (found,) fall;
    `classes` (found,) are indices of `CLASSES`; `probabilities` (2,), one for each class, are of the whole image.

    Args:
        scale: For each class factor and offset of Platt scaling of the image's logit (logit · factor + offset), fitted
            on validation images: `{"lesion": (factor, offset), …}`; missing ones are left as they are. Scores of boxes
            stay the network's own.
        least_score, overlap, candidates, limit: Which locations become detections; see `Choice`.
    """

    def __init__(
        self,
        scale: Mapping[str, tuple[float, float]] | None = None,
        *,
        least_score: float = 0.05,
        overlap: float = 0.6,
        candidates: int = 1000,
        limit: int = 100,
    ) -> None:
        self.scale = dict(scale or {})
        self.choice = Choice(least_score, overlap, candidates, limit)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item with `pred` (a mapping of the network's outputs), `image` and `placement`."""
        item = dict(data)
        rows, columns = (int(side) for side in item["image"].shape[-2:])
        placement = Placement.from_tensor(item["placement"])
        found = detections_of(item["pred"], (rows, columns), self.choice, placement.scaled)
        item["boxes"] = clip(placement.to_source(found.boxes), *placement.source)
        item["scores"], item["classes"] = found.scores, found.classes
        logits = item["pred"]["image"].float().cpu()
        factors, offsets = logits.new_tensor([self.scale.get(name, (1.0, 0.0)) for name in CLASSES]).T
        item["probabilities"] = (logits * factors + offsets).sigmoid()
        return item
